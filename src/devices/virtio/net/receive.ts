import type { NativeMemory, NativeTap } from '../../../native.js';
import { segmentsLength, sliceSegments, writeSegments, type Segment } from '../segment.js';
import { QueueError, type DeviceQueue } from '../virtio-device.js';
import { has, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_MRG_RXBUF } from './features.js';
import { FrameParts } from './frame-parts.js';
import { FRAME_BYTES_MAX, NET_HEADER_BYTES, NUM_BUFFERS } from './net-header.js';

/** Frames received before other devices have their turn. */
const FRAMES_AT_ONCE = 64;
const LARGEST = NET_HEADER_BYTES + FRAME_BYTES_MAX;
const GONE = -2;

export interface ReceiverOptions {
  memory: NativeMemory;
  tap: Pick<NativeTap, 'receive'>;
  queue: DeviceQueue;
  /** Negotiated. */
  features: bigint;
  /** The TAP device was deleted. */
  gone(): void;
}

interface HeldChain {
  head: number;
  writable: readonly Segment[];
  bytes: number;
}

/**
 * Frames for the guest, from the TAP device into the buffers of its receive queue (virtio 1.2, 5.1.6.3 and 5.1.6.4).
 *
 * How large the next frame is shows when it has been read. With merged buffers, room for the largest is therefore taken
 * from the queue before, and what a frame leaves is kept for the next one. While there is less room, frames stay in the
 * TAP device; but a driver may have few buffers, and refill them late. Half of all that it was ever seen to have is
 * enough, then, and a frame that does not fit is lost.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #merges: boolean;
  readonly #parts = new FrameParts();
  readonly #numBuffers = new Uint8Array(2);
  /** Popped, not returned, in their order. */
  #held: HeldChain[] = [];
  #heldBytes = 0;
  /** The most that was held. */
  #supply = 0;
  #starved = true;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#merges = has(options.features, VIRTIO_NET_F_MRG_RXBUF);
  }

  /** There is no room for a frame until the driver adds buffers. */
  get starved(): boolean {
    return this.#starved;
  }

  /** The driver may have added buffers. */
  refill(): void {
    if (this.#starved) this.#starved = !this.#hasRoom();
  }

  /** Takes what the TAP device has, up to a bound. */
  run(): void {
    for (let frames = 0; frames < FRAMES_AT_ONCE; frames++) {
      this.#starved = !this.#hasRoom();
      if (this.#starved || !this.#receive()) break;
    }
    this.#options.queue.signal();
  }

  /** Gives back all buffers. */
  release(): void {
    this.#options.queue.unpop(this.#held.length);
    this.#held = [];
    this.#heldBytes = 0;
    this.#starved = true;
  }

  /** Pops before there is too little, and then for two frames. */
  #hasRoom(): boolean {
    if (!this.#isEnough()) this.#gather();
    return this.#isEnough();
  }

  #isEnough(): boolean {
    if (this.#held.length === 0) return false;
    return !this.#merges || this.#heldBytes >= Math.min(LARGEST, this.#supply / 2);
  }

  #gather(): void {
    const wanted = this.#merges ? 2 * LARGEST : 1;
    while (this.#heldBytes < wanted) {
      const chain = this.#options.queue.pop();
      if (chain === undefined) break;
      const bytes = segmentsLength(chain.writable);
      if (bytes === 0) throw new QueueError('a receive buffer that cannot be written');
      this.#held.push({ head: chain.head, writable: chain.writable, bytes });
      this.#heldBytes += bytes;
    }
    this.#supply = Math.max(this.#supply, this.#heldBytes);
  }

  /** False if there is no frame. */
  #receive(): boolean {
    const { memory, tap, gone } = this.#options;
    this.#offerBuffers();
    const bytes = tap.receive(memory, this.#parts.pairs, this.#parts.count);
    if (bytes === GONE) gone();
    if (bytes < 0) return false;
    if (bytes >= NET_HEADER_BYTES && bytes <= this.#parts.bytes) this.#return(bytes);
    return true;
  }

  #offerBuffers(): void {
    this.#parts.clear();
    for (const { writable } of this.#held) {
      if (!this.#parts.add(writable) || !this.#merges || this.#parts.bytes >= LARGEST) return;
    }
  }

  /** The buffers that a frame of so many bytes has filled, to the driver. */
  #return(bytes: number): void {
    const used = this.#held.splice(0, this.#countFor(bytes));
    this.#completeHeader(used);
    let left = bytes;
    for (const chain of used) {
      const written = Math.min(left, chain.bytes);
      this.#options.queue.push(chain.head, written);
      this.#heldBytes -= chain.bytes;
      left -= written;
    }
  }

  #countFor(bytes: number): number {
    let left = bytes;
    let count = 0;
    while (left > 0) left -= this.#held[count++]!.bytes;
    return count;
  }

  /** 5.1.6.4.1: num_buffers, which is 1 without merged buffers; no flags if the driver does not know them. */
  #completeHeader(used: readonly HeldChain[]): void {
    const { memory, features } = this.#options;
    const segments = used.length === 1 ? used[0]!.writable : used.flatMap((chain) => chain.writable);
    this.#numBuffers[0] = used.length & 0xff;
    this.#numBuffers[1] = used.length >> 8;
    writeSegments(memory, sliceSegments(segments, NUM_BUFFERS, 2), this.#numBuffers);
    if (!has(features, VIRTIO_NET_F_GUEST_CSUM)) writeSegments(memory, segments, Uint8Array.of(0));
  }
}
