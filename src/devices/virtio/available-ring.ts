import { viewOf } from '../../memory/byte-view.js';
import type { RamBytes } from '../../memory/guest-memory.js';
import { AVAIL, AVAIL_ENTRY_BYTES, usedEventOffset, type RingOffsets } from './split-ring.js';

/** The driver's ring (2.7.6). Entries are copied once, when the index announces them. */
export class AvailableRing {
  readonly #ram: RamBytes;
  readonly #ramOffset: number;
  readonly #size: number;
  readonly #entries: Uint8Array;
  readonly #view: DataView;
  readonly #word = new Uint8Array(2);

  constructor(ram: RamBytes, rings: RingOffsets) {
    this.#ram = ram;
    this.#ramOffset = rings.availableRing;
    this.#size = rings.size;
    this.#entries = new Uint8Array(rings.size * AVAIL_ENTRY_BYTES);
    this.#view = viewOf(this.#entries);
  }

  readFlags(): number {
    return this.#readWord(AVAIL.flags);
  }

  /** The entries it announces may be copied by the calls after this one (memory-fence.ts). */
  readIndex(): number {
    return this.#readWord(AVAIL.idx);
  }

  readUsedEvent(): number {
    return this.#readWord(usedEventOffset(this.#size));
  }

  /** Copies the `count` entries from `index` on, at most as many as the ring has. */
  copyEntries(index: number, count: number): void {
    const slot = index % this.#size;
    const toEnd = Math.min(count, this.#size - slot);
    this.#copySlots(slot, toEnd);
    if (count > toEnd) this.#copySlots(0, count - toEnd);
  }

  /** Head of the chain in an entry that was copied. */
  head(index: number): number {
    return this.#view.getUint16((index % this.#size) * AVAIL_ENTRY_BYTES, true);
  }

  #copySlots(slot: number, count: number): void {
    const at = slot * AVAIL_ENTRY_BYTES;
    this.#ram.read(this.#ramOffset + AVAIL.ring + at, this.#entries.subarray(at, at + count * AVAIL_ENTRY_BYTES));
  }

  #readWord(offset: number): number {
    this.#ram.read(this.#ramOffset + offset, this.#word);
    return this.#word[0]! | (this.#word[1]! << 8);
  }
}
