import { ramOffsetOf } from './layout.js';

/** The bytes of guest RAM, by offset. Implemented by the addon; may be larger than one ArrayBuffer. */
export interface RamBytes {
  readonly bytes: number;
  read(ramOffset: number, into: Uint8Array): void;
  write(ramOffset: number, from: Uint8Array): void;
}

/**
 * Guest RAM by guest-physical address, bounds checked.
 * Reading a page that has not arrived yet blocks the thread until it has: never use it on a thread that serves faults.
 */
export class GuestMemory {
  readonly #ram: RamBytes;

  constructor(ram: RamBytes) {
    this.#ram = ram;
  }

  /** Size of guest RAM. */
  get bytes(): number {
    return this.#ram.bytes;
  }

  /** A copy of `length` bytes. Throws RangeError unless all of them are RAM. */
  read(guestAddress: number, length: number): Uint8Array {
    const offset = ramOffsetOf(this.bytes, guestAddress, length);
    const into = new Uint8Array(length);
    this.#ram.read(offset, into);
    return into;
  }

  /** Throws RangeError, and writes nothing, unless all of the range is RAM. */
  write(guestAddress: number, bytes: Uint8Array): void {
    this.#ram.write(ramOffsetOf(this.bytes, guestAddress, bytes.length), bytes);
  }
}
