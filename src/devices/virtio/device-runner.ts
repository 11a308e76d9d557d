import { Deadline } from '../../basics/deadline.js';
import type { PollSource } from '../poll-source.js';
import { DriverSession, type SessionSetup } from './driver-session.js';
import type { QueuePosition } from './queue.js';
import { QueueError, type VirtioDevice } from './virtio-device.js';

/** How long is waited for what a device has in flight when its driver takes a queue away, while the guest runs. */
const STOP_QUEUE_LIMIT_MS = 8000;
const NO_SOURCES: readonly PollSource[] = [];

/**
 * Calls a device model when it may be called, and lets none of its errors out: after one the model is reset, and
 * `broken` told. The model is driven while there is a session, that is from start() to reset() or to an error.
 */
export class DeviceRunner {
  readonly #device: VirtioDevice;
  readonly #broken: (error: unknown) => void;
  readonly #sources: readonly PollSource[];
  #session: DriverSession | undefined;
  #paused = false;

  constructor(device: VirtioDevice, broken: (error: unknown) => void) {
    this.#device = device;
    this.#broken = broken;
    this.#sources = device.sources.map((source) => this.#guarded(source));
  }

  get hasDriver(): boolean {
    return this.#session !== undefined;
  }

  get sources(): readonly PollSource[] {
    return this.#live ? this.#sources : NO_SOURCES;
  }

  /** Throws what building the queues and starting the model throws. */
  start(setup: SessionSetup): void {
    this.#session = new DriverSession(setup);
    this.#device.start(this.#session);
  }

  notify(): void {
    if (this.#live) this.guard(() => this.#device.process());
  }

  /** Throws if the model cannot finish what is in flight by then; an error of the driver's is none of the pause. */
  pause(deadline: Deadline): void {
    this.#paused = true;
    try {
      this.#finish(deadline);
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      this.#fail(error);
    }
  }

  resume(): void {
    this.#paused = false;
    this.retry();
    this.notify();
  }

  /** What the host has failed and the model keeps is tried again. */
  retry(): void {
    if (this.#live) this.guard(() => this.#device.retry?.());
  }

  /** Until restore() and resume() nothing runs. */
  restore(state: unknown): void {
    this.#paused = true;
    this.#device.restore(state);
  }

  /**
   * The position of each queue; none without a session. A device that runs has requests in flight, and is saved for a
   * rehearsal only.
   */
  positions(): (QueuePosition | null)[] {
    return this.#session?.positions(!this.#paused) ?? [];
  }

  /** The driver takes one queue away: nothing touches it, or its buffers, after this. */
  stopQueue(index: number): void {
    const session = this.#session;
    if (session === undefined) return;
    this.guard(() => {
      this.#finish(Deadline.in(STOP_QUEUE_LIMIT_MS));
      session.queues[index]?.stop();
    });
    this.notify();
  }

  reset(): void {
    this.#session?.end();
    this.#session = undefined;
    try {
      this.#device.reset();
    } catch (error) {
      this.#broken(error);
    }
  }

  guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  get #live(): boolean {
    return this.#session !== undefined && !this.#paused;
  }

  #finish(deadline: Deadline): void {
    this.#device.pause(deadline);
    this.#session?.signalAll();
  }

  #fail(error: unknown): void {
    this.#broken(error);
    this.reset();
  }

  /** One poll() may find several sources ready, and the first of them stop the device. */
  #guarded(source: PollSource): PollSource {
    return {
      get fd() {
        return source.fd;
      },
      get events() {
        return source.events;
      },
      run: (revents) => {
        if (this.#live) this.guard(() => source.run(revents));
      },
    };
  }
}
