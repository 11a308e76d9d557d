import type { RamBytes } from '../../../src/memory/guest-memory.js';

const PAGE = 4096;

/** Sparse zero RAM of any size. */
export class FakeRam implements RamBytes {
  readonly #pages = new Map<number, Uint8Array>();

  constructor(readonly bytes: number) {}

  read(ramOffset: number, into: Uint8Array): void {
    this.#each(ramOffset, into.length, false, (page, from, at) => (into[at] = page?.[from] ?? 0));
  }

  write(ramOffset: number, from: Uint8Array): void {
    this.#each(ramOffset, from.length, true, (page, to, at) => {
      if (page !== undefined) page[to] = from[at] ?? 0;
    });
  }

  #each(
    offset: number,
    length: number,
    create: boolean,
    visit: (page: Uint8Array | undefined, inPage: number, at: number) => void,
  ): void {
    if (offset < 0 || offset + length > this.bytes) throw new Error('outside RAM');
    for (let at = 0; at < length; at++) {
      const number = Math.floor((offset + at) / PAGE);
      let page = this.#pages.get(number);
      if (page === undefined && create) this.#pages.set(number, (page = new Uint8Array(PAGE)));
      visit(page, (offset + at) % PAGE, at);
    }
  }
}
