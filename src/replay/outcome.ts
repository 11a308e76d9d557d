/** What came of a migration in simulated time, as the guest felt it. */
import { PageBitmap } from '../memory/page-bitmap.js';
import { bytesOfPages } from '../memory/page-size.js';
import type { Trace } from '../migrate/prefetch/trace.js';
import type { Waits } from './waits.js';

/** Times in milliseconds, from when the guest went on. */
export interface Outcome {
  /** Until all pages were there. */
  totalMs: number;
  /** Of one vCPU. */
  longestStallMs: number;
  /** Of all vCPUs together. */
  waitedMs: number;
  /** Touches that had to wait, and pages that were asked for. */
  faults: number;
  requests: number;
  /** When 50 ms began in which the guest had so much of its speed. */
  to50Ms: number;
  to90Ms: number;
  to99Ms: number;
  /** Pushed before the guest had 90 % of its speed, and not touched until then. */
  uselessFirstBytes: number;
}

export interface PushedRun {
  first: number;
  pages: number;
  /** When it was sent, in microseconds. */
  at: number;
}

export interface OutcomeParts {
  trace: Trace;
  waits: Waits;
  pushed: readonly PushedRun[];
  touchedAt: Float64Array;
  requests: number;
  endAt: number;
}

export function outcomeOf({ trace, waits, pushed, touchedAt, requests, endAt }: OutcomeParts): Outcome {
  const to = (share: number) => waits.timeTo(share, trace.vcpus);
  const to90 = to(0.9);
  return {
    totalMs: endAt / 1000,
    longestStallMs: waits.longest / 1000,
    waitedMs: waits.total / 1000,
    faults: waits.count,
    requests,
    to50Ms: to(0.5) / 1000,
    to90Ms: to90 / 1000,
    to99Ms: to(0.99) / 1000,
    uselessFirstBytes: bytesOfPages(useless(trace, pushed, touchedAt, to90)),
  };
}

function useless(trace: Trace, pushed: readonly PushedRun[], touchedAt: Float64Array, until: number): number {
  const touched = new PageBitmap(trace.pages);
  touchedAt.forEach((at, i) => {
    if (at <= until) touched.set(trace.pageOf[i] as number);
  });
  let pages = 0;
  for (const run of pushed) {
    if (run.at >= until) break;
    for (let page = run.first; page < run.first + run.pages; page++) if (!touched.has(page)) pages++;
  }
  return pages;
}
