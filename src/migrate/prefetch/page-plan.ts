/**
 * In which order the pages that nobody asked for yet are pushed. A plan only advises: whatever it says, every page is
 * sent, and none of them twice. Each bulk channel of the source has a plan of its own, on its worker; nothing of it waits.
 */
import type { RecentPages } from './recent-pages.js';

export interface PagePlan {
  /** The destination asked for this page, on the urgent channel: a vCPU or a device waits for it. */
  faulted(page: number): void;
  /** These pages went out on this bulk channel. */
  sent(first: number, pages: number): void;
  /**
   * Writes what is to be pushed next into `extent`, which is the caller's. `most`: pages that go at once, as the link is
   * now; fewer cost as much as many where it is fast.
   */
  next(extent: Extent, most: number): void;
}

/** The push takes the first unsent page at or after `first`, or the first of all, and those that follow it. */
export interface Extent {
  first: number;
  /** At most; the link may allow for fewer. */
  pages: number;
}

/** What a plan may look at. */
export interface UnsentPages {
  /** Of the VM. */
  readonly pages: number;
  isUnsent(page: number): boolean;
  /** The first page at or after `from` that nobody has sent; -1 if there is none. */
  nextUnsent(from: number): number;
}

/** A file of a plan exports one, and choose.ts knows it by a name. `recent`: what is known by when the plan is asked. */
export type MakePlan = (unsent: UnsentPages, recent: RecentPages) => PagePlan;
