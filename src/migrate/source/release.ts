/**
 * Gives the source's RAM back to the host in blocks of 2 MiB, each when the destination has all of it: a huge page goes
 * in one piece, and freeing many pages at once costs a fraction of freeing them one by one (every call interrupts the
 * other cores to flush their TLBs). Shared by all page workers.
 */
import { BLOCK_PAGES, forBlocks } from '../../memory/page-size.js';
import type { SourcePages } from '../../memory/page-states.js';
import type { NativeMemory } from '../../native.js';

export class BlockRelease {
  readonly buffer: SharedArrayBuffer;
  /** By block: pages with data, and how many of them the destination does not have yet. */
  readonly #pages: Int32Array;
  readonly #left: Int32Array;

  constructor(
    readonly memory: NativeMemory,
    readonly pages: SourcePages,
    buffer?: SharedArrayBuffer,
  ) {
    const blocks = Math.ceil(pages.pages / BLOCK_PAGES);
    this.buffer = buffer ?? new SharedArrayBuffer(blocks * 8);
    this.#pages = new Int32Array(this.buffer, 0, blocks);
    this.#left = new Int32Array(this.buffer, blocks * 4, blocks);
  }

  /** These pages hold data, and are to be sent. Each once, and before any of their block has been acknowledged. */
  offer(first: number, count: number): void {
    this.pages.offer(first, count);
    this.#count(first, count);
  }

  /** As offer(), of pages that were sent before the hand-over, as they are. */
  hold(first: number, count: number): void {
    this.pages.hold(first, count);
    this.#count(first, count);
  }

  #count(first: number, count: number): void {
    forBlocks(first, count, (block, pages) => {
      this.#pages[block]! += pages;
      Atomics.add(this.#left, block, pages);
    });
  }

  /** The destination has these pages now. Returns how many pages were given back on that account. */
  acknowledged(first: number, count: number): number {
    this.pages.acknowledged(first, count);
    let released = 0;
    forBlocks(first, count, (block, pages) => {
      if (Atomics.sub(this.#left, block, pages) !== pages) return;
      const start = block * BLOCK_PAGES;
      this.memory.release(start, Math.min(BLOCK_PAGES, this.pages.pages - start));
      released += this.#pages[block]!;
    });
    return released;
  }
}
