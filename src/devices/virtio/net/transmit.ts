import type { NativeMemory, NativeTap } from '../../../native.js';
import { readSegments, segmentsLength } from '../segment.js';
import type { DescriptorChain, DeviceQueue } from '../virtio-device.js';
import { FrameParts } from './frame-parts.js';
import { checkSendHeader, NET_HEADER_BYTES } from './net-header.js';

/** Frames sent before other devices have their turn. */
const FRAMES_AT_ONCE = 64;

export interface TransmitterOptions {
  memory: NativeMemory;
  tap: Pick<NativeTap, 'send'>;
  queue: DeviceQueue;
  /** Negotiated. */
  features: bigint;
}

/** Frames of the guest, from its transmit queue into the TAP device (virtio 1.2, 5.1.6.2). */
export class Transmitter {
  readonly #options: TransmitterOptions;
  readonly #header = new Uint8Array(NET_HEADER_BYTES);
  readonly #parts = new FrameParts();
  #waits = false;

  constructor(options: TransmitterOptions) {
    this.#options = options;
  }

  /** There are frames to send once the TAP device has room. */
  get waits(): boolean {
    return this.#waits;
  }

  /** Sends what is in the queue, up to a bound. */
  run(): void {
    const { queue } = this.#options;
    this.#waits = false;
    for (let sent = 0; ; sent++) {
      this.#waits = sent === FRAMES_AT_ONCE;
      const chain = this.#waits ? undefined : queue.pop();
      if (chain === undefined) break;
      if (!this.#send(chain)) {
        queue.unpop(1);
        this.#waits = true;
        break;
      }
      queue.push(chain.head, 0);
    }
    queue.signal();
  }

  /**
   * False if there is no room now. A frame that is none is dropped, as a wire does. The header is sent as it was checked:
   * the guest may change its own meanwhile.
   */
  #send({ readable }: DescriptorChain): boolean {
    const { memory, tap, features } = this.#options;
    if (readSegments(memory, readable, this.#header) < NET_HEADER_BYTES) return true;
    if (!checkSendHeader(this.#header, segmentsLength(readable) - NET_HEADER_BYTES, features)) return true;
    this.#parts.clear();
    if (!this.#parts.add(readable, NET_HEADER_BYTES)) return true;
    return tap.send(memory, this.#header, this.#parts.pairs, this.#parts.count) >= 0;
  }
}
