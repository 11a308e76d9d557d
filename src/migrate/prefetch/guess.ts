/**
 * Plans that guess from faults which pages are wanted soon: what is guessed goes first, in small blocks, and what nobody
 * has guessed goes in order. A guess is never longer than a block, so that a newer and better one waits for little.
 */
import type { Extent, PagePlan, UnsentPages } from './page-plan.js';

/** Pages of a block at most. */
export const BLOCK_PAGES = 64;

/** Pages from `from` up to, and without, `to`: all of them the VM's, BLOCK_PAGES at most. */
export interface Block {
  from: number;
  to: number;
}

export interface Guess {
  /** As PagePlan's. True if it takes the fault for its own: no other guess need look at it. */
  faulted(page: number): boolean;
  /** Writes what is to be pushed next into `block`, which is the caller's; `most` as PagePlan's. False if nothing is guessed. */
  next(block: Block, most: number): boolean;
}

/** Blocks of which nothing is left to send are passed over, but not more than these in a row: a run has its limit of time. */
const BLOCKS_PASSED_MAX = 32;

export class GuessedFirst implements PagePlan {
  readonly #block: Block = { from: 0, to: 0 };
  /** Pages before it are sent. */
  #after = 0;

  /** `guesses`: the surest one first. */
  constructor(
    readonly unsent: UnsentPages,
    readonly guesses: readonly Guess[],
  ) {}

  faulted(page: number): void {
    for (const guess of this.guesses) if (guess.faulted(page)) return;
  }

  sent(): void {}

  next(extent: Extent, most: number): void {
    const block = this.#block;
    for (let passed = 0; passed < BLOCKS_PASSED_MAX; passed++) {
      while (block.from < block.to && !this.unsent.isUnsent(block.from)) block.from++;
      if (block.from < block.to) {
        extent.first = block.from;
        extent.pages = block.to - block.from;
        return;
      }
      if (!this.#guess(block, most)) break;
    }
    this.#inOrder(extent);
  }

  #guess(block: Block, most: number): boolean {
    for (const guess of this.guesses) if (guess.next(block, most)) return true;
    return false;
  }

  /** The place is kept apart from what is guessed: so all of it together looks at each page of the VM once. */
  #inOrder(extent: Extent): void {
    let first = this.unsent.nextUnsent(this.#after);
    // In rounds, pages before it are to be sent again.
    if (first < 0) first = this.unsent.nextUnsent(0);
    if (first >= 0) this.#after = first;
    extent.first = this.#after;
    extent.pages = BLOCK_PAGES;
  }
}
