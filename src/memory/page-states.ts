/**
 * What both ends of a migration know of each page. The maps are in shared memory: every thread of an end has its own
 * object over them, and every operation is atomic. They can be changed by the operations here only, which are the legal
 * ones; whoever changes a page's state learns that it was the one who did.
 *
 *   source       offer          acknowledged      holds: the destination needs it, and does not have it yet
 *   holds        0 ---> 1 ------------> 0
 *   unsent       0 ---> 1 ---> 0                  unsent: nobody has claimed it, to send it
 *                       ^ claim |
 *                       '-------' sendAgain, once nobody sends any more: what was on its way may not have come
 *
 *   rounds       copy            claim            before the hand-over, holds stays 0: unsent is what the destination lacks, or
 *   unsent       0 ---> 1 ------------> 0         has as it was; takeUncopied() ends them
 *
 *   destination  expect          installed        missing: the source has it, and we have not
 *   missing      0 ---> 1 ------------> 0
 *   asked        0 -----------> 1                 asked: somebody waits for it, and the source was told so
 *               ^        ask   |
 *               '--------------' askAgain, once nobody asks any more: what the source was told may not have come
 */
import { PostcopyError } from '../errors.js';
import { PageBitmap } from './page-bitmap.js';

/** The maps of a source. They can cross threads. */
export interface SourceMaps {
  holds: SharedArrayBuffer;
  unsent: SharedArrayBuffer;
}

export class SourcePages {
  readonly #holds: PageBitmap;
  readonly #unsent: PageBitmap;

  constructor(
    readonly pages: number,
    maps?: SourceMaps,
  ) {
    this.#holds = new PageBitmap(pages, maps?.holds);
    this.#unsent = new PageBitmap(pages, maps?.unsent);
  }

  get maps(): SourceMaps {
    return { holds: this.#holds.buffer, unsent: this.#unsent.buffer };
  }

  /** These pages hold data: they are to be sent. */
  offer(first: number, count: number): void {
    this.#holds.setRange(first, count);
    this.#unsent.setRange(first, count);
  }

  /** The destination has these pages as they are, and is only to acknowledge it. */
  hold(first: number, count: number): void {
    this.#holds.setRange(first, count);
  }

  /** Before the hand-over: a copy of these pages is to be sent, perhaps not for the first time. */
  copy(extents: Uint32Array): void {
    this.#unsent.add(extents);
  }

  /** Pages whose copy nobody has claimed, as they are now. */
  uncopied(): PageBitmap {
    return this.#unsent.copy();
  }

  /** When nobody copies any more: what is left of that, and is not to be sent as a copy now. */
  takeUncopied(): PageBitmap {
    const uncopied = this.uncopied();
    this.#unsent.clearAll();
    return uncopied;
  }

  /** True if the page is the caller's to send from now on, and nobody else's. */
  claim(page: number): boolean {
    return this.#unsent.clear(page);
  }

  /** As claim(), for the run of unsent pages that begins there, `most` pages at most: its length. */
  claimRun(first: number, most: number): number {
    return this.#unsent.claimRun(first, most);
  }

  isUnsent(page: number): boolean {
    return this.#unsent.has(page);
  }

  /** The first page at or after `from` that nobody has claimed; -1 if there is none. */
  nextUnsent(from: number): number {
    return this.#unsent.next(from);
  }

  /** The destination has these pages, each of which was claimed. Throws INTERNAL if it was said of one of them before. */
  acknowledged(first: number, count: number): void {
    if (this.#holds.clearRange(first, count) === count) return;
    throw new PostcopyError(
      'INTERNAL',
      `of the pages ${first} to ${first + count - 1}, not all were to be acknowledged`,
    );
  }

  /**
   * The destination has said which pages it lacks, [first page, pages] pairs, and nobody sends any: those are unsent again.
   * Returns the pages that are held here and are not among them, which nobody has acknowledged yet. Throws BAD_PEER, with
   * nothing changed, if it lacks one that it has acknowledged.
   */
  sendAgain(lacking: Uint32Array): Uint32Array {
    const arrived = this.#holds.copy();
    for (let i = 0; i < lacking.length; i += 2) {
      const [first, count] = [lacking[i]!, lacking[i + 1]!];
      if (arrived.clearRange(first, count) === count) continue;
      throw new PostcopyError(
        'BAD_PEER',
        `of the pages ${first} to ${first + count - 1}, the destination lacks some that it has acknowledged`,
      );
    }
    this.#unsent.clearAll();
    this.#unsent.add(lacking);
    return arrived.extents();
  }

  /** The destination has all that was offered. */
  get allAcknowledged(): boolean {
    return this.#holds.next(0) < 0;
  }
}

/** The maps of a destination, and how many pages are missing. They can cross threads. */
export interface DestinationMaps {
  missing: SharedArrayBuffer;
  asked: SharedArrayBuffer;
  left: SharedArrayBuffer;
}

export class DestinationPages {
  readonly #missing: PageBitmap;
  readonly #asked: PageBitmap;
  readonly #left: Int32Array;
  readonly #leftBuffer: SharedArrayBuffer;

  constructor(
    readonly pages: number,
    maps?: DestinationMaps,
  ) {
    this.#missing = new PageBitmap(pages, maps?.missing);
    this.#asked = new PageBitmap(pages, maps?.asked);
    this.#leftBuffer = maps?.left ?? new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#left = new Int32Array(this.#leftBuffer);
  }

  get maps(): DestinationMaps {
    return { missing: this.#missing.buffer, asked: this.#asked.buffer, left: this.#leftBuffer };
  }

  /** The source has these pages, and will send each of them once. */
  expect(first: number, count: number): void {
    Atomics.add(this.#left, 0, this.#missing.setRange(first, count));
  }

  isMissing(page: number): boolean {
    return this.#missing.has(page);
  }

  /** True if the caller is to ask for this missing page; false if somebody has. */
  ask(page: number): boolean {
    return this.#asked.set(page);
  }

  /** Pages that nobody has put in place yet: [first page, pages] pairs. */
  missing(): Uint32Array {
    return this.#missing.extents();
  }

  /** Nobody asks for pages any more, and what was asked may not have come to the source. */
  askAgain(): void {
    this.#asked.clearAll();
  }

  /**
   * These pages were missing and are in place; or read zero, and need not be put there. Said after they are: a fault on a
   * page that is not missing is answered with zeroes.
   */
  installed(first: number, count: number): void {
    this.#missing.clearRange(first, count);
  }

  /** So many pages that are installed are in the books as well. True, once, if none is left. */
  settled(count: number): boolean {
    return Atomics.sub(this.#left, 0, count) === count;
  }

  /** Pages that are missing, or not settled yet. */
  get left(): number {
    return Atomics.load(this.#left, 0);
  }
}
