import type { RamBytes } from '../../memory/guest-memory.js';

/** One buffer of a descriptor chain: bytes of guest RAM, checked to be RAM when the chain was read. */
export interface Segment {
  ramOffset: number;
  /** At least 1. */
  length: number;
}

/** Bytes in all of them. */
export function segmentsLength(segments: readonly Segment[]): number {
  let sum = 0;
  for (const segment of segments) sum += segment.length;
  return sum;
}

/** The bytes from `skip` on, at most `length` of them, as segments of their own. */
export function sliceSegments(segments: readonly Segment[], skip: number, length = Infinity): Segment[] {
  const slice: Segment[] = [];
  let toSkip = skip;
  let left = length;
  for (const segment of segments) {
    if (left <= 0) break;
    if (toSkip >= segment.length) {
      toSkip -= segment.length;
      continue;
    }
    const taken = Math.min(segment.length - toSkip, left);
    slice.push({ ramOffset: segment.ramOffset + toSkip, length: taken });
    toSkip = 0;
    left -= taken;
  }
  return slice;
}

/** Copies from the segments until `into` is full or they end; the bytes copied. */
export function readSegments(ram: RamBytes, segments: readonly Segment[], into: Uint8Array): number {
  return each(segments, into, (ramOffset, part) => ram.read(ramOffset, part));
}

/** Copies into the segments until `from` or they end; the bytes copied. */
export function writeSegments(ram: RamBytes, segments: readonly Segment[], from: Uint8Array): number {
  return each(segments, from, (ramOffset, part) => ram.write(ramOffset, part));
}

function each(
  segments: readonly Segment[],
  bytes: Uint8Array,
  copy: (ramOffset: number, part: Uint8Array) => void,
): number {
  let at = 0;
  for (const segment of segments) {
    if (at === bytes.length) break;
    const part = bytes.subarray(at, at + Math.min(segment.length, bytes.length - at));
    copy(segment.ramOffset, part);
    at += part.length;
  }
  return at;
}
