/**
 * Which pages hold data, as it crosses the wire in RAM and STATE: runs in order, each as two LEB128 numbers, the pages since the
 * end of the run before it and the pages in it. Pages in no run were never written and read as zero.
 */
import { PostcopyError } from '../errors.js';

/** `extents`: [first page, pages] pairs, ascending, not touching each other. */
export function encodeRamMap(extents: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(extents.length * 5);
  let at = 0;
  let end = 0;
  for (let i = 0; i < extents.length; i += 2) {
    at = writeNumber(bytes, at, extents[i]! - end);
    at = writeNumber(bytes, at, extents[i + 1]!);
    end = extents[i]! + extents[i + 1]!;
  }
  return bytes.slice(0, at);
}

/** Throws BAD_PEER unless the map is whole and all of it lies in `pages` pages. */
export function decodeRamMap(bytes: Uint8Array, pages: number): Uint32Array {
  // Every number takes a byte at least: a peer has no more memory taken for its map than four times what it has sent.
  const extents = new Uint32Array(bytes.length);
  const reader = new NumberReader(bytes);
  let length = 0;
  let end = 0;
  while (!reader.atEnd) {
    const first = end + reader.next();
    const count = reader.next();
    if (count === 0 || first + count > pages) {
      throw new PostcopyError(
        'BAD_PEER',
        `RAM map has a run of ${count} pages at page ${first}; the VM has ${pages} pages`,
      );
    }
    extents[length++] = first;
    extents[length++] = count;
    end = first + count;
  }
  return extents.slice(0, length);
}

/** Pages in [first page, pages] pairs. */
export function pagesIn(extents: ArrayLike<number>): number {
  let pages = 0;
  for (let i = 1; i < extents.length; i += 2) pages += extents[i]!;
  return pages;
}

function writeNumber(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

class NumberReader {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  get atEnd(): boolean {
    return this.#at >= this.bytes.length;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      const byte = this.bytes[this.#at++];
      if (byte === undefined) throw new PostcopyError('BAD_PEER', 'RAM map ends in the middle of a number');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new PostcopyError('BAD_PEER', 'RAM map has a number of more than five bytes');
  }
}
