import { z } from 'zod';
import type { PollSource } from '../../../../src/devices/poll-source.js';
import { readSegments, segmentsLength, writeSegments } from '../../../../src/devices/virtio/segment.js';
import type {
  DescriptorChain,
  DeviceQueue,
  Driver,
  VirtioDevice,
} from '../../../../src/devices/virtio/virtio-device.js';
import type { RamBytes } from '../../../../src/memory/guest-memory.js';

const stateSchema = z.strictObject({ served: z.number() });
/** Hostile chains are longer than what is worth copying. */
const ECHO_MAX = 0x1000;

/** Copies what it reads to what it may write. With `hold` it keeps chains in flight until pause() or release(). */
export class EchoDevice implements VirtioDevice {
  readonly deviceId = 42;
  readonly queueSizes: readonly number[] = [8, 16];
  readonly sources: PollSource[] = [];
  readonly space = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66);
  /** Calls, in order. */
  readonly calls: string[] = [];
  driver: Driver | undefined;
  hold = false;
  /** Errors to throw, by name of the call. */
  readonly failures = new Map<string, Error>();
  held: { queue: DeviceQueue; chain: DescriptorChain }[] = [];
  served = 0;

  constructor(
    readonly ram: RamBytes,
    readonly features = 0x3n,
  ) {}

  config(): Uint8Array {
    this.#fail('config');
    return this.space;
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#call('writeConfig');
    this.space.set(bytes, offset);
  }

  start(driver: Driver): void {
    this.driver = driver;
    this.#call('start');
  }

  process(): void {
    this.#call('process');
    for (const queue of this.driver!.queues) {
      for (let chain = queue?.pop(); chain !== undefined; chain = queue!.pop())
        this.held.push({ queue: queue!, chain });
    }
    if (!this.hold) this.release();
  }

  /** Answers what is in flight. */
  release(): void {
    for (const { queue, chain } of this.held.splice(0)) {
      const bytes = new Uint8Array(Math.min(segmentsLength(chain.readable), segmentsLength(chain.writable), ECHO_MAX));
      readSegments(this.ram, chain.readable, bytes);
      queue.push(chain.head, writeSegments(this.ram, chain.writable, bytes));
      this.served++;
    }
    for (const queue of this.driver?.queues ?? []) queue?.signal();
  }

  reset(): void {
    this.held = [];
    this.driver = undefined;
    this.#call('reset');
  }

  pause(): void {
    this.#call('pause');
    this.release();
  }

  save(): unknown {
    return { served: this.served };
  }

  restore(state: unknown): void {
    this.#call('restore');
    this.served = stateSchema.parse(state).served;
  }

  #call(name: string): void {
    this.calls.push(name);
    this.#fail(name);
  }

  #fail(name: string): void {
    const error = this.failures.get(name);
    if (error !== undefined) throw error;
  }
}
