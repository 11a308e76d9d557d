/**
 * Gives a guest its huge pages back: its RAM has come in 4 KiB pages, on which it runs up to a third slower. Blocks of
 * 2 MiB that hold data throughout are put into huge pages (MADV_COLLAPSE, Linux 6.1) by the main thread, which has little
 * else to do. A vCPU that touches a block meanwhile waits some hundred microseconds. Every call first drains the lists of
 * free pages on all cores, which takes milliseconds when a guest keeps them busy: so several blocks a call. Not at a lower
 * priority than usual: the call holds what every fault of a vCPU needs, and must get on where vCPUs keep all cores busy.
 */
import { setImmediate } from 'node:timers/promises';
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

  /** [first page, pages] of runs of such blocks, at most `most` blocks each. */
  *runs(most: number): Generator<[first: number, count: number]> {
    let length = 0;
    for (let block = 0; block <= this.#pages.length; block++) {
      const isWhole = this.#pages[block] === BLOCK_PAGES;
      if (length > 0 && (!isWhole || length === most)) {
        yield [(block - length) * BLOCK_PAGES, length * BLOCK_PAGES];
        length = 0;
      }
      if (isWhole) length++;
    }
  }
}

/** Blocks of one call, neighbours: the main thread does nothing else for some milliseconds. */
const CALL_BLOCKS = 8;

/**
 * Runs until all blocks were tried, or `stopped` says so. Without pauses: a guest that touches all of its memory waits for
 * every block once, however far apart they are, and until then runs on small pages.
 */
export async function giveBackHugePages(
  memory: NativeMemory,
  blocks: WholeBlocks,
  stopped: () => boolean,
): Promise<void> {
  for (const [first, count] of blocks.runs(CALL_BLOCKS)) {
    if (stopped()) return;
    // Where there is no huge page to be had, the block stays as it is.
    memory.collapse(first, count);
    await setImmediate();
  }
}
