/** The comparison of modes as text: a line for each system in each scenario, then the targets. */
import { formatTable } from '../../basics/table.js';
import type { BenchResult, Figures } from '../result.js';
import { SYSTEMS } from '../system.js';
import { formatSpread, hostText, type FigureKind } from './format.js';
import { targetsText } from './text-report.js';

const SHOWN: readonly [head: string, field: keyof Figures, kind: FigureKind][] = [
  ['total', 'totalMs', 'ms'],
  ['downtime', 'ownDowntimeMs', 'ms'],
  ['standstill', 'standstillMs', 'ms'],
  ['longest stall', 'longestStallMs', 'ms'],
  ['waited', 'stalledMs', 'ms'],
  ['on the wire', 'interfaceBytes', 'bytes'],
  ['rounds', 'rounds', 'count'],
  ['moved', 'moved', 'count'],
];

export function modesText({ host, scenarios, targets }: BenchResult): string {
  const tables = scenarios.map(({ title, summaries, failed }) => {
    const rows = SYSTEMS.filter((system) => summaries[system] !== undefined).map((system) => [
      system,
      ...SHOWN.map(([, field, kind]) => formatSpread(summaries[system]![field], kind)),
    ]);
    const failures = failed.map(({ system, round, message }) => `FAILED: ${system}, round ${round}: ${message}\n`);
    return `\n${title}\n${formatTable([['', ...SHOWN.map(([head]) => head)], ...rows])}${failures.join('')}`;
  });
  return [`Measured on ${hostText(host)}.`, ...tables, targetsText(targets)].join('\n');
}
