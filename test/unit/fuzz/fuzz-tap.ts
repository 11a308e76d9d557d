import type { NetDeviceOptions } from '../../../src/devices/virtio/net/net-device.js';
import { sliceSegments, writeSegments, type Segment } from '../../../src/devices/virtio/segment.js';
import type { NativeMemory } from '../../../src/native.js';

const HEADER_BYTES = 12;
const SEGMENTS_MAX = 1023;

/** A TAP device that checks its arguments as the addon does, and keeps up to 1,000 frames. */
export class FuzzTap implements Pick<NetDeviceOptions['tap'], keyof NetDeviceOptions['tap']> {
  readonly fd = 7;
  full = false;
  /** The frame that was read last, with its header. */
  lastRead: Buffer | undefined;
  readonly #waiting: Buffer[] = [];
  #seed = 0;

  /** A frame from the network, with its header: that many bytes, of which the header is empty. */
  arrive(bytes: number): void {
    if (this.#waiting.length === 1000 || bytes <= HEADER_BYTES) return;
    const frame = Buffer.alloc(bytes, (++this.#seed % 255) | 1);
    this.#waiting.push(frame.fill(0, 0, HEADER_BYTES));
  }

  setOffloads(csum: boolean, tso4: boolean, tso6: boolean, ecn: boolean): void {
    if (!csum && (tso4 || tso6)) throw new Error('EINVAL');
    if (ecn && !tso4 && !tso6) throw new Error('EINVAL');
  }

  send(memory: NativeMemory, header: Uint8Array, pairs: Float64Array, count: number): number {
    if (header.length !== HEADER_BYTES) throw new RangeError('header must have 12 bytes');
    const segments = segmentsOf(memory, pairs, count);
    if (this.full) return -1;
    return HEADER_BYTES + segments.reduce((sum, { length }) => sum + length, 0);
  }

  receive(memory: NativeMemory, pairs: Float64Array, count: number): number {
    const segments = segmentsOf(memory, pairs, count);
    const frame = this.#waiting.shift();
    if (frame === undefined) return -1;
    this.lastRead = frame;
    // num_buffers, behind the 10 bytes of the header, is not the kernel's to write.
    writeSegments(memory, segments, frame.subarray(0, 10));
    writeSegments(memory, sliceSegments(segments, HEADER_BYTES), frame.subarray(HEADER_BYTES));
    return frame.length;
  }

  write(bytes: Uint8Array): number {
    return bytes.length;
  }

  discard(most: number): number {
    return this.#waiting.splice(0, most).length;
  }
}

function segmentsOf(memory: NativeMemory, pairs: Float64Array, count: number): Segment[] {
  if (count > SEGMENTS_MAX) throw new RangeError('too many segments');
  return Array.from({ length: count }, (_, i) => {
    const [ramOffset, length] = [pairs[2 * i]!, pairs[2 * i + 1]!];
    if (!(ramOffset >= 0 && length > 0 && ramOffset + length <= memory.bytes))
      throw new RangeError('outside of guest RAM');
    return { ramOffset, length };
  });
}
