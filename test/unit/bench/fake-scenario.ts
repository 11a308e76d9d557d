import type { Figures, RunResult, ScenarioResult } from '../../../src/bench/result.js';
import { FIGURES } from '../../../src/bench/report/format.js';
import { summarizeRuns } from '../../../src/bench/summarize.js';
import type { SystemName } from '../../../src/bench/system.js';

function fakeRun(system: SystemName, known: Partial<Figures>): RunResult {
  const figures = { ...Object.fromEntries(FIGURES.map(({ field }) => [field, 1])), ...known } as Figures;
  return {
    ...{ system, round: 1, figures },
    timeline: { intervalUs: 10_000, before: 100, counts: [100, 0, 50, 100], longestUs: [1, 2, 3, 4], commandAt: 0 },
    histogram: [
      [1, 1000],
      [64, 5],
      [128, 2],
    ],
    pagesLeft: [
      { atMs: 10, pages: 100 },
      { atMs: 20, pages: 0 },
    ],
    report: { us: 1, accesses: 1007, bad: 0, stalls: 7, longest_us: 120, stalled_us: 500 },
    verdict: { pages: 10, bad: 0, outside: 1, outside_bad: 0 },
    account: { totalMs: 1, downtimeMs: 1, wireBytes: 1, faults: 1, dataPages: 1, raw: {} },
  };
}

/** postcopy and qemu, a run each, and one that failed. */
export function fakeScenario(title: string): ScenarioResult {
  const runs = [
    fakeRun('postcopy', { totalMs: 200, longestStallMs: 10, faults: 5 }),
    fakeRun('qemu', { totalMs: 900, longestStallMs: 50, faults: 3 }),
  ];
  const workload = { memoryBytes: 2 ** 30, workingSetBytes: 2 ** 29, cpus: 1, pattern: 'uniform' };
  const failed = [{ system: 'qemu' as const, round: 2, message: 'it broke' }];
  return { name: 'loopback', title, workload, link: 'loopback', runs, failed, summaries: summarizeRuns(runs) };
}
