/** Sends the places in which the guest has written lately, in the order in which they were told; faults change nothing in it. */
import { BLOCK_PAGES, type Block, type Guess } from './guess.js';
import type { UnsentPages } from './page-plan.js';
import type { RecentPages } from './recent-pages.js';

export class WrittenLately implements Guess {
  #place = 0;
  /** Pages of it that were guessed. */
  #done = 0;

  constructor(
    readonly unsent: Pick<UnsentPages, 'pages'>,
    readonly recent: RecentPages,
  ) {}

  faulted(): boolean {
    return false;
  }

  next(block: Block): boolean {
    if (this.#place >= this.recent.count) return false;
    const first = this.recent.first(this.#place);
    const end = Math.min(first + this.recent.pages(this.#place), this.unsent.pages);
    block.from = Math.min(first + this.#done, end);
    block.to = Math.min(block.from + BLOCK_PAGES, end);
    this.#done += block.to - block.from;
    if (block.to === end) {
      this.#place++;
      this.#done = 0;
    }
    return true;
  }
}
