import { viewOf } from '../../memory/byte-view.js';
import type { RamBytes } from '../../memory/guest-memory.js';
import { availEventOffset, USED, USED_ENTRY_BYTES, type RingOffsets } from './split-ring.js';

/** The device's ring (2.7.8). Entries are kept here until they are published, all at once. */
export class UsedRing {
  readonly #ram: RamBytes;
  readonly #ramOffset: number;
  readonly #size: number;
  readonly #entries: Uint8Array;
  readonly #view: DataView;
  readonly #word = new Uint8Array(2);

  constructor(ram: RamBytes, rings: RingOffsets) {
    this.#ram = ram;
    this.#ramOffset = rings.usedRing;
    this.#size = rings.size;
    this.#entries = new Uint8Array(rings.size * USED_ENTRY_BYTES);
    this.#view = viewOf(this.#entries);
  }

  /** struct virtq_used_elem: id, len. */
  set(index: number, head: number, written: number): void {
    const at = (index % this.#size) * USED_ENTRY_BYTES;
    this.#view.setUint32(at, head, true);
    this.#view.setUint32(at + 4, written, true);
  }

  /** Gives the driver the entries [from, from + count), then the index that announces them (memory-fence.ts). */
  publish(from: number, count: number, index: number): void {
    const slot = from % this.#size;
    const toEnd = Math.min(count, this.#size - slot);
    this.#writeSlots(slot, toEnd);
    if (count > toEnd) this.#writeSlots(0, count - toEnd);
    this.#writeWord(USED.idx, index);
  }

  writeAvailEvent(index: number): void {
    this.#writeWord(availEventOffset(this.#size), index);
  }

  #writeSlots(slot: number, count: number): void {
    const at = slot * USED_ENTRY_BYTES;
    this.#ram.write(this.#ramOffset + USED.ring + at, this.#entries.subarray(at, at + count * USED_ENTRY_BYTES));
  }

  #writeWord(offset: number, value: number): void {
    this.#word[0] = value;
    this.#word[1] = value >> 8;
    this.#ram.write(this.#ramOffset + offset, this.#word);
  }
}
