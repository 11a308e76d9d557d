import { randomFillSync } from 'node:crypto';
import { z } from 'zod';
import type { RamBytes } from '../../../memory/guest-memory.js';
import type { PollSource } from '../../poll-source.js';
import { segmentsLength, writeSegments } from '../segment.js';
import type { DescriptorChain, Driver, VirtioDevice } from '../virtio-device.js';

/** Entropy Device (virtio 1.2, 5.4). */
const DEVICE_ID = 4;
const REQUESTQ = 0;
/** Linux has one request under way. */
const QUEUE_SIZE = 8;

/** For one request: the device "MAY use less than the entire buffer length" (5.4.6.2), and the driver asks again. */
const MOST_BYTES = 64 * 1024;

const stateSchema = z.strictObject({ version: z.literal(1) });
export type RngState = z.infer<typeof stateSchema>;

/** Random bytes of this host's kernel: nothing of them is state, and a guest that moves gets those of its new host. */
export class VirtioRng implements VirtioDevice {
  readonly deviceId = DEVICE_ID;
  readonly features = 0n;
  readonly queueSizes = [QUEUE_SIZE];
  readonly sources: readonly PollSource[] = [];
  readonly #ram: RamBytes;
  readonly #random = new Uint8Array(MOST_BYTES);
  #driver: Driver | undefined;

  constructor(ram: RamBytes) {
    this.#ram = ram;
  }

  /** It has none (5.4.4). */
  config(): Uint8Array {
    return new Uint8Array(0);
  }

  start(driver: Driver): void {
    this.#driver = driver;
  }

  process(): void {
    const queue = this.#driver?.queues[REQUESTQ];
    if (queue === undefined) return;
    let answered = 0;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      queue.push(chain.head, this.#fill(chain));
      answered++;
    }
    if (answered > 0) queue.signal();
  }

  reset(): void {
    this.#driver = undefined;
  }

  /** No request outlives process(). */
  pause(): void {}

  save(): RngState {
    return { version: 1 };
  }

  restore(state: unknown): void {
    stateSchema.parse(state);
  }

  #fill(chain: DescriptorChain): number {
    const bytes = this.#random.subarray(0, Math.min(segmentsLength(chain.writable), MOST_BYTES));
    return writeSegments(this.#ram, chain.writable, randomFillSync(bytes));
  }
}
