/** The main thread's side of the device worker. */
import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PostcopyError } from '../errors.js';
import { native, type NativeVm } from '../native.js';
import type { DeviceReply, DeviceRequest, DeviceWorkerData } from './device-messages.js';
import type { VcpuStop } from './exit-dispatch.js';

interface DeviceEvents {
  'power-off': [];
  reset: [source: string];
  'vcpu-stopped': [stop: VcpuStop];
  failed: [error: Error];
}

interface Waiter {
  resolve(state: unknown): void;
  reject(error: Error): void;
}

export class DeviceLink extends EventEmitter<DeviceEvents> {
  readonly #worker: Worker;
  readonly #wakeFd: number;
  readonly #waiting: Waiter[] = [];
  #closed = false;

  private constructor(worker: Worker, wakeFd: number) {
    super();
    this.#worker = worker;
    this.#wakeFd = wakeFd;
    worker.on('message', (message: DeviceReply) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error));
  }

  /** Starts the worker and waits until it serves exits. It owns `serialFd` from now on. */
  static async start(vm: NativeVm, serialFd: number): Promise<DeviceLink> {
    const wakeFd = native.createEventFd();
    const workerData: DeviceWorkerData = {
      vmHandle: vm.handle,
      exitQueueHandle: vm.exitQueueHandle,
      serialFd,
      wakeFd,
    };
    const link = new DeviceLink(new Worker(new URL('./device-worker.js', import.meta.url), { workerData }), wakeFd);
    await new Promise<unknown>((resolve, reject) => link.#waiting.push({ resolve, reject }));
    return link;
  }

  /** The devices' state; vCPUs must be parked, or it may change meanwhile. */
  save(): Promise<unknown> {
    return this.#request({ type: 'save' });
  }

  async restore(state: unknown): Promise<void> {
    await this.#request({ type: 'restore', state });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    await this.#request({ type: 'close' }).catch(() => this.#worker.terminate());
    this.#closed = true;
    await exited;
    native.closeFd(this.#wakeFd);
  }

  #request(request: DeviceRequest): Promise<unknown> {
    if (this.#closed) return Promise.reject(new PostcopyError('INTERNAL', 'the device worker has ended'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
      native.signalEventFd(this.#wakeFd);
    });
  }

  #receive(message: DeviceReply): void {
    switch (message.type) {
      case 'ready':
        return this.#waiting.shift()?.resolve(undefined);
      case 'answer':
        return this.#waiting.shift()?.resolve(message.state);
      case 'refused':
        return this.#waiting.shift()?.reject(new PostcopyError('BAD_PEER', message.message));
      case 'power-off':
        return void this.emit('power-off');
      case 'reset':
        return void this.emit('reset', message.source);
      case 'vcpu-stopped':
        return void this.emit('vcpu-stopped', message.stop);
    }
  }

  #fail(error: Error): void {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
    this.emit('failed', error);
  }
}
