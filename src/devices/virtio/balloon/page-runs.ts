import { ramRegions } from '../../../memory/layout.js';
import { pageOf } from '../../../memory/page-size.js';

/** Pages one after another. */
export interface PageRun {
  first: number;
  count: number;
}

/** The pages in ascending order, each once, adjacent ones as one run. Sorts the array. */
export function runsOf(pages: Uint32Array): PageRun[] {
  pages.sort();
  const runs: PageRun[] = [];
  let run: PageRun | undefined;
  for (const page of pages) {
    const next = run === undefined ? -1 : run.first + run.count;
    if (run !== undefined && page === next) run.count++;
    else if (run === undefined || page > next) runs.push((run = { first: page, count: 1 }));
  }
  return runs;
}

/** Of runs of guest-physical pages those parts that are RAM, as runs of RAM pages. */
export function ramRunsOf(runs: readonly PageRun[], memoryBytes: number): PageRun[] {
  return ramRegions(memoryBytes).flatMap((region) => {
    const start = pageOf(region.guestAddress);
    const end = start + pageOf(region.bytes);
    const toRam = pageOf(region.ramOffset) - start;
    return runs.flatMap((run) => {
      const first = Math.max(run.first, start);
      const count = Math.min(run.first + run.count, end) - first;
      return count > 0 ? [{ first: first + toRam, count }] : [];
    });
  });
}
