import type { Extent, PagePlan } from './page-plan.js';

/** From the first page to the last, whatever is asked for meanwhile. */
class InOrder implements PagePlan {
  #after = 0;

  faulted(): void {}

  sent(first: number, pages: number): void {
    this.#after = first + pages;
  }

  next(extent: Extent): void {
    extent.first = this.#after;
    extent.pages = Infinity;
  }
}

export const inOrder = (): PagePlan => new InOrder();
