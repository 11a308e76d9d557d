/** The main thread's side of the device worker. */
import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PostcopyError } from '../errors.js';
import { native, type NativeVm } from '../native.js';
import type { DeviceJob, DeviceReply, DeviceRequest } from './device-messages.js';
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
  readonly #worker = new Worker(new URL('./device-worker.js', import.meta.url));
  readonly #wakeFd = native.createEventFd();
  readonly #waiting: Waiter[] = [];
  readonly #loaded: Promise<unknown>;
  #serving = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  /** Starts the worker, which loads its code and waits for a machine. */
  constructor() {
    super();
    this.#worker.on('message', (message: DeviceReply) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#loaded = this.#answer();
    this.#loaded.catch(() => {}); // told to whoever gives it a machine
  }

  /** Serves the exits of a VM from now on. The worker owns `serialFd`. */
  async serve(vm: NativeVm, serialFd: number): Promise<void> {
    await this.#loaded;
    const job: DeviceJob = {
      vmHandle: vm.handle,
      exitQueueHandle: vm.exitQueueHandle,
      serialFd,
      wakeFd: this.#wakeFd,
    };
    this.#serving = true;
    this.#worker.postMessage(job);
    await this.#answer();
  }

  /** The devices' state; vCPUs must be parked, or it may change meanwhile. */
  save(): Promise<unknown> {
    return this.#request({ type: 'save' });
  }

  async restore(state: unknown): Promise<void> {
    await this.#request({ type: 'restore', state });
  }

  /** The guest shuts down if it cares to. */
  async pressPowerButton(): Promise<void> {
    await this.#request({ type: 'power-button' });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    if (this.#serving) {
      await this.#request({ type: 'close' }).catch(() => this.#worker.terminate());
    } else {
      // A worker that is ended while it loads its code leaves the files open that it is reading.
      await this.#loaded.catch(() => {});
      await this.#worker.terminate();
    }
    this.#closed = true;
    await exited;
    native.closeFd(this.#wakeFd);
  }

  #request(request: DeviceRequest): Promise<unknown> {
    if (this.#closed) return Promise.reject(new PostcopyError('INTERNAL', 'the device worker has ended'));
    this.#worker.postMessage(request);
    native.signalEventFd(this.#wakeFd);
    return this.#answer();
  }

  /** The next answer that belongs to nobody yet: they come in the order of the requests. */
  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #receive(message: DeviceReply): void {
    switch (message.type) {
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
