import { viewOf } from '../../memory/byte-view.js';
import type { RamBytes } from '../../memory/guest-memory.js';
import { DESC, DESC_BYTES } from './split-ring.js';

/**
 * Reads descriptors into scratch memory: the driver may change them at any time, and what was checked is what is used. A
 * call of the addon costs more than the bytes it copies, so that descriptors are read ahead, `ahead` at a time.
 */
export class DescriptorTable {
  readonly #ram: RamBytes;
  readonly #ahead: number;
  readonly #scratch: Uint8Array;
  readonly #view: DataView;
  /** By number of descriptors, that much of the scratch memory; made when first needed. */
  readonly #parts: Uint8Array[] = [];
  #ramOffset = 0;
  #entries = 0;
  /** The descriptors that the scratch memory holds. */
  #first = 0;
  #count = 0;
  /** In the scratch memory. */
  #at = 0;

  constructor(ram: RamBytes, ahead: number) {
    this.#ram = ram;
    this.#ahead = ahead;
    this.#scratch = new Uint8Array(ahead * DESC_BYTES);
    this.#view = viewOf(this.#scratch);
  }

  /** Turns to a table of `entries` descriptors at this RAM offset; what was read before is forgotten. */
  open(ramOffset: number, entries: number): void {
    this.#ramOffset = ramOffset;
    this.#entries = entries;
    this.#count = 0;
  }

  get entries(): number {
    return this.#entries;
  }

  /** The descriptor that the properties below tell of. `index` is less than `entries`. */
  seek(index: number): void {
    if (index < this.#first || index >= this.#first + this.#count) {
      this.#first = index;
      this.#count = Math.min(this.#ahead, this.#entries - index);
      this.#ram.read(this.#ramOffset + index * DESC_BYTES, this.#part(this.#count));
    }
    this.#at = (index - this.#first) * DESC_BYTES;
  }

  /** Above 2^53 it is not exact, and nowhere near RAM. */
  get address(): number {
    const at = this.#at + DESC.addr;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  get length(): number {
    return this.#view.getUint32(this.#at + DESC.len, true);
  }

  get flags(): number {
    return this.#view.getUint16(this.#at + DESC.flags, true);
  }

  get next(): number {
    return this.#view.getUint16(this.#at + DESC.next, true);
  }

  #part(count: number): Uint8Array {
    return (this.#parts[count] ??= this.#scratch.subarray(0, count * DESC_BYTES));
  }
}
