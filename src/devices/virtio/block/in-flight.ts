import { constants as os } from 'node:os';
import type { NativeDisk, NativeMemory } from '../../../native.js';
import { QueueError } from '../virtio-device.js';
import { QUEUE_SIZE } from './config-space.js';
import type { DiskOperation } from './operation.js';
import type { BlockRequest } from './request.js';

const { EIO } = os.errno;

/** Requests that the disk works on, as many as a queue can hold: a driver that returns descriptors early gets no more. */
export class InFlight {
  readonly #disk: NativeDisk;
  readonly #memory: NativeMemory;
  readonly #requests: (BlockRequest | undefined)[] = new Array<undefined>(QUEUE_SIZE).fill(undefined);
  readonly #free = Array.from({ length: QUEUE_SIZE }, (_, id) => id);
  readonly #segments = new Float64Array(2 * QUEUE_SIZE);
  readonly #ended = new Int32Array(2 * QUEUE_SIZE);

  constructor(disk: NativeDisk, memory: NativeMemory) {
    this.#disk = disk;
    this.#memory = memory;
  }

  get full(): boolean {
    return this.#free.length === 0;
  }

  /** Begins it; 0, or the errno if the host has no thread for it. */
  submit(request: BlockRequest, { kind, segments, offset, length }: DiskOperation): number {
    if (segments.length > QUEUE_SIZE) throw new QueueError('a descriptor chain is longer than its queue'); // 2.7.5.3.1
    for (const [i, segment] of segments.entries()) {
      this.#segments[2 * i] = segment.ramOffset;
      this.#segments[2 * i + 1] = segment.length;
    }
    const id = this.#free.at(-1)!;
    try {
      this.#disk.submit(id, kind, this.#memory, this.#segments, segments.length, offset, length);
    } catch (error) {
      const { code, errno = EIO } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error; // an argument: a bug of ours
      return errno;
    }
    this.#free.pop();
    this.#requests[id] = request;
    return 0;
  }

  /** Those that have ended, each with 0 or the errno of its failure. */
  takeEnded(each: (request: BlockRequest, errno: number) => void): void {
    const count = this.#disk.completions(this.#ended);
    for (let i = 0; i < count; i++) {
      const id = this.#ended[2 * i]!;
      const request = this.#requests[id];
      if (request === undefined) continue;
      this.#requests[id] = undefined;
      this.#free.push(id);
      each(request, this.#ended[2 * i + 1]!);
    }
  }
}
