/** What the report's plots show, as uPlot takes it: one array of x values, one of y values for each system. */
import { waitAt, type Histogram } from '../fault-waits.js';
import type { RunResult, ScenarioResult } from '../result.js';
import { SYSTEMS, type SystemName } from '../system.js';

export interface Plot {
  title: string;
  xLabel: string;
  yLabel: string;
  logX: boolean;
  /** One for each line. */
  systems: SystemName[];
  x: number[];
  y: (number | null)[][];
}

/** Shown behind the moment at which the last system's guest is back. */
const TAIL_MS = 300;
const WAIT_PERCENTILES = Array.from({ length: 200 }, (_, i) => (i + 1) / 200);

export function scenarioPlots(scenario: ScenarioResult): Plot[] {
  const systems = SYSTEMS.filter((system) => scenario.runs.some((run) => run.system === system));
  const typical = systems.map((system) => typicalRun(scenario.runs.filter((run) => run.system === system)));
  if (typical.length === 0) return [];
  return [speedPlot(systems, typical), waitPlot(systems, scenario), pagesPlot(systems, typical)];
}

/** The run whose total time is the median, the lower of two. */
function typicalRun(runs: RunResult[]): RunResult {
  const sorted = [...runs].sort((a, b) => a.figures.totalMs - b.figures.totalMs);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

function speedPlot(systems: SystemName[], runs: RunResult[]): Plot {
  const last = Math.max(...runs.map(({ figures }) => Math.max(figures.totalMs, figures.backMs ?? 0))) + TAIL_MS;
  const intervalMs = runs[0]!.timeline.intervalUs / 1000;
  const x = Array.from({ length: Math.ceil(last / intervalMs) }, (_, i) => i * intervalMs);
  const y = runs.map(({ timeline }) =>
    x.map((_, i) => (i < timeline.counts.length ? (100 * timeline.counts[i]!) / timeline.before : null)),
  );
  return {
    title: 'Speed of the guest',
    xLabel: 'ms since the command',
    yLabel: '% of before',
    logX: false,
    systems,
    x,
    y,
  };
}

/** Of all rounds together. */
function waitPlot(systems: SystemName[], { runs }: ScenarioResult): Plot {
  const lines = systems.map((system) => waitLine(runs.filter((run) => run.system === system)));
  const x = [...new Set(lines.flatMap((line) => [...line.keys()]))].sort((a, b) => a - b);
  const y = lines.map((line) => x.map((us) => line.get(us) ?? null));
  return { title: 'Fault waits', xLabel: 'us', yLabel: '% that waited no longer', logX: true, systems, x, y };
}

/** The share in percent, by the wait that it does not exceed. */
function waitLine(runs: RunResult[]): Map<number, number> {
  const line = new Map<number, number>();
  const histogram = mergeHistograms(runs.map((run) => run.histogram));
  const faults = runs.reduce((sum, run) => sum + run.figures.faults, 0);
  const longest = Math.max(...runs.map((run) => run.report.longest_us));
  for (const share of WAIT_PERCENTILES) {
    const us = waitAt(histogram, faults, longest, share);
    if (us > 0) line.set(us, 100 * share);
  }
  return line;
}

export function mergeHistograms(histograms: Histogram[]): Histogram {
  const counts = new Map<number, number>();
  for (const [upper, count] of histograms.flat()) counts.set(upper, (counts.get(upper) ?? 0) + count);
  return [...counts].sort(([a], [b]) => a - b);
}

function pagesPlot(systems: SystemName[], runs: RunResult[]): Plot {
  const x = [...new Set(runs.flatMap((run) => run.pagesLeft.map(({ atMs }) => atMs)))].sort((a, b) => a - b);
  const y = runs.map((run) => {
    const known = new Map(run.pagesLeft.map(({ atMs, pages }) => [atMs, pages]));
    return x.map((at) => known.get(at) ?? null);
  });
  return {
    title: 'Pages left',
    xLabel: 'ms since the command',
    yLabel: 'pages (QEMU: empty ones too)',
    logX: false,
    systems,
    x,
    y,
  };
}
