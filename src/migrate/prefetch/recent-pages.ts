/**
 * Where the guest has written lately, the warmest places first (write-history.ts says which those are): written down by the
 * main thread of a source before the push begins, and read by the plan of each push, in shared memory.
 */

/** They take 2 MiB; and if each is one page, they tell of 1 GiB. */
export const PLACES_MAX = 1 << 18;
/** Before the places: how many there are. */
const HEAD = 1;

export class RecentPages {
  readonly buffer: SharedArrayBuffer;
  /** Of each place, its first page and its pages. */
  readonly #words: Uint32Array;

  /** Of a VM of so many pages; or those that another thread has. */
  constructor(from: number | SharedArrayBuffer) {
    this.buffer =
      typeof from === 'number'
        ? new SharedArrayBuffer((HEAD + 2 * Math.min(from, PLACES_MAX)) * Uint32Array.BYTES_PER_ELEMENT)
        : from;
    this.#words = new Uint32Array(this.buffer);
  }

  /** [first page, pages] pairs. Those for which there is no room any more are left out: they go as other pages do. */
  add(places: Uint32Array): void {
    const at = HEAD + 2 * this.count;
    const added = places.subarray(0, this.#words.length - at);
    this.#words.set(added, at);
    Atomics.add(this.#words, 0, added.length / 2);
  }

  get count(): number {
    return Atomics.load(this.#words, 0);
  }

  first(place: number): number {
    return this.#words[HEAD + 2 * place] as number;
  }

  pages(place: number): number {
    return this.#words[HEAD + 2 * place + 1] as number;
  }
}
