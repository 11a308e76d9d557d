import type { RamBytes } from '../../memory/guest-memory.js';
import { ramOffsetOf } from '../../memory/layout.js';
import { QueueError } from './virtio-device.js';

/** The three areas of a split virtqueue (virtio 1.2, 2.7), all little endian. */

/** struct virtq_desc (2.7.5). */
export const DESC_BYTES = 16;
export const DESC = { addr: 0, len: 8, flags: 12, next: 14 } as const;
export const VIRTQ_DESC_F_NEXT = 1;
export const VIRTQ_DESC_F_WRITE = 2;
export const VIRTQ_DESC_F_INDIRECT = 4;

/** struct virtq_avail (2.7.6); used_event follows the ring. */
export const AVAIL = { flags: 0, idx: 2, ring: 4 } as const;
export const AVAIL_ENTRY_BYTES = 2;
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** struct virtq_used (2.7.8); avail_event follows the ring. */
export const USED = { flags: 0, idx: 2, ring: 4 } as const;
export const USED_ENTRY_BYTES = 8;

/** flags and idx before a ring, or one event index behind it. */
const HEAD_BYTES = 4;
const EVENT_BYTES = 2;

/** Indices of both rings count the entries ever put there, modulo 2^16. */
export const INDEX_MASK = 0xffff;

/** "The maximum Queue Size value is 32768" (2.7). */
const QUEUE_SIZE_MAX = 32768;

/** Where the driver has put a queue: guest addresses, not checked. */
export interface RingAddresses {
  size: number;
  descriptorTable: number;
  availableRing: number;
  usedRing: number;
}

/** The same as offsets into RAM, checked. */
export interface RingOffsets {
  size: number;
  descriptorTable: number;
  availableRing: number;
  usedRing: number;
}

/** Size, alignment and place of the areas (2.7). Throws QueueError. */
export function checkRings(ram: RamBytes, rings: RingAddresses, maxSize: number): RingOffsets {
  const { size } = rings;
  const powerOfTwo = Number.isInteger(Math.log2(size));
  if (!powerOfTwo || size < 1 || size > Math.min(maxSize, QUEUE_SIZE_MAX)) {
    throw new QueueError(`a queue size of ${size} is no power of two up to ${maxSize}`);
  }
  return {
    size,
    descriptorTable: area(ram, 'descriptor table', rings.descriptorTable, 16, DESC_BYTES * size),
    availableRing: area(ram, 'available ring', rings.availableRing, 2, usedEventOffset(size) + EVENT_BYTES),
    usedRing: area(ram, 'used ring', rings.usedRing, 4, availEventOffset(size) + EVENT_BYTES),
  };
}

/** Where the available ring has used_event. */
export function usedEventOffset(size: number): number {
  return HEAD_BYTES + AVAIL_ENTRY_BYTES * size;
}

/** Where the used ring has avail_event. */
export function availEventOffset(size: number): number {
  return HEAD_BYTES + USED_ENTRY_BYTES * size;
}

/** RAM offset of what the driver says is at this address. Throws QueueError unless all of it is RAM. */
export function ramOffsetOfGuest(ram: RamBytes, what: string, address: number, length: number): number {
  try {
    return ramOffsetOf(ram.bytes, address, length);
  } catch (error) {
    throw new QueueError(`${what} outside of RAM`, { cause: error });
  }
}

function area(ram: RamBytes, what: string, address: number, alignment: number, bytes: number): number {
  if (address % alignment !== 0) {
    throw new QueueError(`the ${what} at 0x${address.toString(16)} is not aligned to ${alignment} bytes`);
  }
  return ramOffsetOfGuest(ram, `the ${what} lies`, address, bytes);
}
