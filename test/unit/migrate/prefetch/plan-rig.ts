/** A plan asked as the push asks it, over a map of pages of which nothing is sent. */
import { SourcePages } from '../../../../src/memory/page-states.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import type { Extent, MakePlan, PagePlan, UnsentPages } from '../../../../src/migrate/prefetch/page-plan.js';

export type Run = [first: number, pages: number];

export class PlanRig {
  readonly pages: SourcePages;
  readonly unsent: { -readonly [name in keyof UnsentPages]: UnsentPages[name] };
  readonly recent: RecentPages;
  readonly plan: PagePlan;
  /** Looks at single pages, for the last run or the last fault. */
  looks = 0;
  readonly #extent: Extent = { first: 0, pages: 0 };

  constructor(
    makePlan: MakePlan,
    readonly count: number,
    extents: readonly Run[] = [[0, count]],
  ) {
    this.pages = new SourcePages(count);
    for (const [first, pages] of extents) this.pages.offer(first, pages);
    this.unsent = {
      pages: count,
      isUnsent: (page) => {
        if (!(page >= 0 && page < count)) throw new RangeError(`page ${page}`);
        this.looks++;
        return this.pages.isUnsent(page);
      },
      nextUnsent: (from) => this.pages.nextUnsent(from),
    };
    this.recent = new RecentPages(count);
    this.plan = makePlan(this.unsent, this.recent);
  }

  /** Pages that are asked for, and sent at once. */
  fault(...pages: number[]): void {
    for (const page of pages) {
      if (page < this.count) this.pages.claim(page);
      this.looks = 0;
      this.plan.faulted(page);
    }
  }

  /** The next run, which is sent; undefined if no page is left. */
  run(most = 64): Run | undefined {
    this.looks = 0;
    this.plan.next(this.#extent, most);
    let first = this.pages.nextUnsent(this.#extent.first);
    if (first < 0) first = this.pages.nextUnsent(0);
    if (first < 0) return undefined;
    const pages = this.pages.claimRun(first, Math.min(most, this.#extent.pages));
    this.plan.sent(first, pages);
    return [first, pages];
  }

  runs(count: number, most?: number): (Run | undefined)[] {
    return Array.from({ length: count }, () => this.run(most));
  }
}
