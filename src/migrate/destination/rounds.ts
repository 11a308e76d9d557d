/**
 * What the destination knows of pages that come in rounds, while the guest still runs at the source: a page comes as often as
 * the guest rewrites it, and the last content counts. Shared by the page workers, which write pages straight into RAM, and the
 * main thread, which ends the rounds when STATE comes. Nothing is on its way then from a source that keeps the protocol; of
 * one that does not, no write may go on either: RAM is registered, and a worker that touches a page that is missing would wait
 * for itself.
 */
import { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { pagesFor } from '../../memory/page-size.js';
import { Gate } from '../../threads/gate.js';
import type { NativeMemory, Userfaultfd } from '../../native.js';
import type { Hello } from '../wire/message.js';

/** Some of the VM's pages come before the hand-over, in a mode that is known here. */
export function comesInRounds({ mode }: Pick<Hello, 'mode'>): boolean {
  return mode !== 'post-copy';
}

/** All of it can cross threads. */
export interface RoundsMaps {
  gate: SharedArrayBuffer;
  came: SharedArrayBuffer;
  written: SharedArrayBuffer;
}

export class Rounds {
  /** Closed when the rounds are over. Who writes to RAM is inside. */
  readonly gate: Gate;
  /** Pages that the source has sent, or has told to be zero. */
  readonly #came: PageBitmap;
  /** Pages with something in them. All others read zero. */
  readonly #written: PageBitmap;

  constructor(
    readonly pages: number,
    maps?: RoundsMaps,
  ) {
    this.gate = new Gate(maps?.gate);
    this.#came = new PageBitmap(pages, maps?.came);
    this.#written = new PageBitmap(pages, maps?.written);
  }

  get maps(): RoundsMaps {
    return { gate: this.gate.buffer, came: this.#came.buffer, written: this.#written.buffer };
  }

  /** These pages have been written to. Inside of the gate. */
  wrote(first: number, count: number): void {
    this.#came.setRange(first, count);
    this.#written.setRange(first, count);
  }

  /** The source has told these pages to be zero: `giveBack` is called for those that have something in them. Inside of the gate. */
  zeroed(first: number, count: number, giveBack: (first: number, count: number) => void): void {
    this.#came.setRange(first, count);
    for (let page = first; page < first + count;) {
      const pages = this.#written.claimRun(page, first + count - page);
      if (pages > 0) giveBack(page, pages);
      page += Math.max(1, pages);
    }
  }

  /**
   * Ends the rounds, once and for all. STATE has told which pages are here as they are to be, and which are to come: [first
   * page, pages] pairs. Returns those that must hold nothing, because they are to come, or because something is in them that
   * does not count any more. Throws BAD_PEER if a page is said to be here that has not come, or that is to come as well.
   */
  end(held: Uint32Array, lacking: Uint32Array): Uint32Array {
    this.gate.close();
    const here = new PageBitmap(this.pages);
    const stale = this.#written.copy();
    for (let i = 0; i < held.length; i += 2) {
      const [first, count] = [held[i] as number, held[i + 1] as number];
      if (this.#came.clearRange(first, count) < count)
        throw badPages('STATE has pages here that have not all come', first, count);
      here.setRange(first, count);
      stale.clearRange(first, count);
    }
    for (let i = 0; i < lacking.length; i += 2) {
      const [first, count] = [lacking[i] as number, lacking[i + 1] as number];
      if (here.clearRange(first, count) > 0) throw badPages('STATE has pages both here and to come', first, count);
      stale.setRange(first, count);
    }
    return stale.extents();
  }
}

/**
 * Takes the faults of all of RAM, of which `stale` ([first page, pages] pairs) must hold nothing. Registered first: until then
 * the kernel may fill what has just been given back with zeroes, to make a huge page of its block, and no fault would come.
 */
export function registerAfterRounds(memory: NativeMemory, userfaultfd: Userfaultfd, stale: Uint32Array): void {
  userfaultfd.register(0, pagesFor(memory.bytes), false);
  for (let i = 0; i < stale.length; i += 2) memory.release(stale[i] as number, stale[i + 1] as number);
}

function badPages(what: string, first: number, count: number): PostcopyError {
  return new PostcopyError('BAD_PEER', `${what}, among ${first} to ${first + count - 1}`);
}
