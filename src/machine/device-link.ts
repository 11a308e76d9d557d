/** The main thread's side of the device worker. */
import { EventEmitter } from 'node:events';
import type { Deadline } from '../basics/deadline.js';
import { within } from '../basics/within.js';
import { KEEP_PAGES, RELEASE_PAGES } from '../devices/virtio/balloon/page-releaser.js';
import type { DiskFailure } from '../devices/virtio/block/host-errors.js';
import { PostcopyError } from '../errors.js';
import { native, type NativeMemory, type NativeVm } from '../native.js';
import { WorkerCode } from '../threads/worker-code.js';
import { WorkerHandle } from '../threads/worker-handle.js';
import type { DeviceJob, DeviceNews, DeviceRequest, VirtioSpec } from './device-messages.js';
import type { VcpuStop } from './exit-dispatch.js';
import type { ClocksMoment } from './machine-state.js';

interface DeviceEvents {
  notice: [text: string];
  panicked: [at: number];
  'disk-stopped': [failure: DiskFailure];
  'power-off': [];
  reset: [source: string];
  'vcpu-stopped': [stop: VcpuStop];
  failed: [error: Error];
}

interface Waiter {
  resolve(state: unknown): void;
  reject(error: Error): void;
}

/** What a device worker serves; the descriptors are its own from then on. */
export interface Served {
  vm: NativeVm;
  memory: NativeMemory;
  serialFd: number;
  virtio: VirtioSpec[];
}

const CODE = new WorkerCode(new URL('./device-worker.js', import.meta.url));

/** A device worker that does not answer by then waits in the kernel for a page that does not come. */
const CLOSE_WAIT_MS = 2000;
/** A worker whose devices could not pause in time is on its way to say why, which is more than can be said here. */
const SAY_WHY_MS = 200;

/** The worker is in a call that takes its time, a reset of a device for one: it does what it was asked when that ends. */
export class NoAnswerError extends PostcopyError {}

export class DeviceLink extends EventEmitter<DeviceEvents> {
  readonly #worker: WorkerHandle<DeviceJob, DeviceNews, DeviceRequest>;
  readonly #wakeFd = native.createEventFd();
  readonly #releaseFlag = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)).fill(KEEP_PAGES);
  readonly #waiting: Waiter[] = [];
  #panickedAt: number | undefined;
  #serving = false;
  #closed = false;
  #closing: Promise<boolean> | undefined;
  #failure: Error | undefined;

  /** Starts the worker, which loads its code and waits for a machine. */
  constructor() {
    super();
    this.#worker = new WorkerHandle(CODE, 'device worker');
    this.#worker
      .on('answer', ({ state }) => this.#waiting.shift()?.resolve(state))
      .on('refused', ({ code, message }) => this.#waiting.shift()?.reject(new PostcopyError(code, message)))
      .on('notice', ({ text }) => this.emit('notice', text))
      .on('panicked', ({ at }) => {
        this.#panickedAt = at;
        this.emit('panicked', at);
      })
      .on('disk-stopped', ({ failure }) => this.emit('disk-stopped', failure))
      .on('power-off', () => this.emit('power-off'))
      .on('reset', ({ source }) => this.emit('reset', source))
      .on('vcpu-stopped', ({ stop }) => this.emit('vcpu-stopped', stop))
      .onFailed((reason) => this.#fail(reason));
    // Whoever asked it something behind 'close' gets no answer.
    void this.#worker.exited.then(() => this.#rejectAll(new PostcopyError('INTERNAL', 'the device worker has ended')));
  }

  /** Why the worker has ended by itself; for who comes too late for the event. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** When the guest's kernel has panicked, here or before it came: milliseconds since 1970. */
  get panickedAt(): number | undefined {
    return this.#panickedAt;
  }

  /** Serves the exits of a VM from now on. */
  async serve({ vm, memory, serialFd, virtio }: Served): Promise<void> {
    await this.#worker.loaded;
    const job: DeviceJob = {
      vmHandle: vm.handle,
      memoryHandle: memory.handle,
      exitQueueHandle: vm.exitQueueHandle,
      serialFd,
      virtio,
      releaseFlag: this.#releaseFlag,
      wakeFd: this.#wakeFd,
    };
    this.#serving = true;
    this.#worker.run(job);
    await this.#answer();
  }

  /**
   * Pages that the guest reports free may be given back to the host from now on: all of its memory is here. While it
   * arrives that would make pages missing that have come already, and nobody would send them again.
   */
  allowRelease(): void {
    Atomics.store(this.#releaseFlag, 0, RELEASE_PAGES);
  }

  /**
   * The devices' state, with clocks as they were then (monotonicMicros()); vCPUs must be parked, or it may change
   * meanwhile. Rejects with NoAnswerError if the worker does not answer by the deadline.
   */
  save(deadline: Deadline, atMicros: number): Promise<unknown> {
    return inTime(this.#request({ type: 'save', atMicros }), deadline.leftMs);
  }

  async restore(state: unknown): Promise<void> {
    await this.#request({ type: 'restore', state });
  }

  /** After restore(), and before a vCPU runs: it reads none of the devices' clocks before they are right. */
  async startClocks({ atMicros, wallClockMs }: ClocksMoment): Promise<void> {
    await this.#request({ type: 'start-clocks', atMicros, wallClockMs });
  }

  /** The guest shuts down if it cares to. */
  async pressPowerButton(): Promise<void> {
    await this.#request({ type: 'power-button' });
  }

  /**
   * With all vCPUs parked: the devices finish what they have in flight and begin nothing new. Rejects with
   * MIGRATION_FAILED if one of them cannot by then, with NoAnswerError if the worker does not answer.
   */
  async pause(deadline: Deadline): Promise<void> {
    await inTime(this.#request({ type: 'pause', untilMicros: deadline.atMicros }), deadline.leftMs + SAY_WHY_MS);
  }

  /** After pause() or restore(). */
  async resume(): Promise<void> {
    await this.#request({ type: 'resume' });
  }

  /** What the host has failed, and the devices keep, is begun anew. */
  async retry(): Promise<void> {
    await this.#request({ type: 'retry' });
  }

  /** Network devices tell the network where the guest is now. */
  async announce(): Promise<void> {
    await this.#request({ type: 'announce' });
  }

  /**
   * False if the worker still waits in the kernel, for a page or a disk, after so long: it stays until the process ends.
   * The first call counts.
   */
  close(waitMs = CLOSE_WAIT_MS): Promise<boolean> {
    this.#closing ??= this.#close(waitMs);
    return this.#closing;
  }

  async #close(waitMs: number): Promise<boolean> {
    if (!this.#closed && !(await this.#endWorker(waitMs))) return false;
    this.#closed = true;
    native.closeFd(this.#wakeFd);
    return true;
  }

  async #endWorker(waitMs: number): Promise<boolean> {
    if (!this.#serving) {
      // A worker that is ended while it loads its code leaves the files open that it is reading.
      await this.#worker.loaded.catch(() => {});
      await this.#worker.end();
      return true;
    }
    this.#request({ type: 'close' }).catch(() => this.#worker.terminate());
    const isGone = this.#worker.exited.then(() => true);
    if (await within(isGone, waitMs, () => false)) return true;
    this.#worker.unref();
    return false;
  }

  #request(request: DeviceRequest): Promise<unknown> {
    if (this.#closed) return Promise.reject(new PostcopyError('INTERNAL', 'the device worker has ended'));
    this.#worker.post(request);
    native.signalEventFd(this.#wakeFd);
    return this.#answer();
  }

  /** The next answer that belongs to nobody yet: they come in the order of the requests. */
  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#rejectAll(error);
    this.emit('failed', error);
  }

  #rejectAll(error: Error): void {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}

function inTime<Answer>(answer: Promise<Answer>, limitMs: number): Promise<Answer> {
  return within(answer, limitMs, () => {
    throw new NoAnswerError('MIGRATION_FAILED', 'the devices do not answer');
  });
}
