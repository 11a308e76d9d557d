/** The comparison of orders of pages as text: a table of what was reckoned, and one of what was measured. */
import { formatTable } from '../../basics/table.js';
import { PREFETCH_POLICIES } from '../../migrate/options.js';
import type { Outcome } from '../../replay/outcome.js';
import type { Replayed } from '../prefetch.js';
import type { BenchResult, Figures } from '../result.js';
import { formatSpread, hostText, type FigureKind } from './format.js';

const MEASURED: readonly [head: string, field: keyof Figures, kind: FigureKind][] = [
  ['total', 'totalMs', 'ms'],
  ['longest stall', 'longestStallMs', 'ms'],
  ['waited', 'stalledMs', 'ms'],
  ['faults', 'faults', 'count'],
  ['to 90 %', 'backMs', 'ms'],
];

export function prefetchText({ host, scenarios }: BenchResult, replayed: readonly Replayed[]): string {
  const rows = scenarios.map(({ title, summaries, failed }) => [
    ...title.split(', '),
    ...MEASURED.map(([, field, kind]) => formatSpread(summaries.postcopy?.[field], kind)),
    ...failed.map(({ message }) => `FAILED: ${message}`),
  ]);
  const heads = ['guest', 'link', 'order', ...MEASURED.map(([head]) => head)];
  const measured = `Measured on ${hostText(host)}\n${formatTable([heads, ...rows])}`;
  return `${replayedText(replayed)}\n${measured}`;
}

/** What each policy made of a trace, side by side: waited, and the time to 90 % of the speed. */
function replayedText(replayed: readonly Replayed[]): string {
  const cell = ({ waitedMs, to90Ms }: Outcome) => `${waitedMs.toFixed(0)} / ${to90Ms.toFixed(0)}`;
  const rows = replayed.map(({ trace, link, outcomes }) => [
    trace,
    link,
    ...PREFETCH_POLICIES.map((policy) => cell(outcomes[policy])),
  ]);
  const heads = ['trace', 'link', ...PREFETCH_POLICIES];
  return `In simulated time: ms that all vCPUs waited / until 90 % of the speed\n${formatTable([heads, ...rows])}`;
}
