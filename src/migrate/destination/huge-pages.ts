/**
 * Gives a guest its huge pages back: its RAM has come in 4 KiB pages, on which it runs up to a third slower. Blocks of
 * 2 MiB that hold data throughout are put into huge pages (MADV_COLLAPSE, Linux 6.1), one at a time on the main thread,
 * which has little else to do: each takes some hundred microseconds, for which a vCPU that touches it waits.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { BLOCK_PAGES, forBlocks } from '../../memory/page-size.js';
import type { NativeMemory } from '../../native.js';

/** Blocks all of whose pages hold data: [first page, pages] pairs, in ascending order, in several parts. */
export class WholeBlocks {
  readonly #pages: Uint16Array;

  constructor(pages: number) {
    this.#pages = new Uint16Array(Math.ceil(pages / BLOCK_PAGES));
  }

  add(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) {
      forBlocks(extents[i]!, extents[i + 1]!, (block, pages) => (this.#pages[block]! += pages));
    }
  }

  /** First pages of the blocks. */
  *firstPages(): Generator<number> {
    for (let block = 0; block < this.#pages.length; block++) {
      if (this.#pages[block] === BLOCK_PAGES) yield block * BLOCK_PAGES;
    }
  }
}

/** Runs until all blocks were tried, or `stopped` says so. Resolves with the number of huge pages made. */
export async function giveBackHugePages(
  memory: NativeMemory,
  blocks: WholeBlocks,
  stopped: () => boolean,
): Promise<number> {
  let made = 0;
  for (const first of blocks.firstPages()) {
    if (stopped()) break;
    if (memory.collapse(first, BLOCK_PAGES)) made++;
    await turn();
  }
  return made;
}
