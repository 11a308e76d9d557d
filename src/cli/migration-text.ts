import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import { bytesOfPages } from '../memory/page-size.js';
import { plain } from '../basics/plain.js';
import { formatFields } from '../basics/table.js';
import { formatDuration, formatMicros, formatRate, formatSize } from '../basics/units.js';

/** The live line of `postcopy migrate`. */
export function progressLine(name: string, progress: MigrationProgress): string {
  const { phase, pagesLeft, bytesPerSecond, faultsWaiting, elapsedMs } = progress;
  const parts = [
    `${name}: ${plain(phase)}`,
    `${formatPages(pagesLeft)} left`,
    formatRate(bytesPerSecond),
    `${faultsWaiting} faults waiting`,
    formatDuration(elapsedMs),
  ];
  return parts.join(', ');
}

/** What is told at the end: one sentence for the outcome, then the figures. */
export function summaryText(name: string, destination: string, summary: MigrationSummary): string {
  return `${outcome(name, destination, summary)}\n${summaryTable(summary)}`;
}

function outcome(name: string, destination: string, { status, totalMs, inDoubt }: MigrationSummary): string {
  if (status === 'completed') return `${name} is at ${destination}, moved completely in ${formatDuration(totalMs)}`;
  if (inDoubt === true)
    return `${name} stands still here: the link to ${destination} was lost in the instant of the hand-over`;
  return `${name} is at ${destination} but may lack pages: the link was lost after the hand-over`;
}

function summaryTable(summary: MigrationSummary): string {
  const { pages, faultWaitUs: wait, memory } = summary;
  return formatFields([
    ['mode', summary.mode],
    ['machine', summary.machine],
    ['total time', formatDuration(summary.totalMs)],
    ['downtime', formatDuration(summary.downtimeMs)],
    ['on the wire', formatSize(summary.wireBytes)],
    ['guest memory', formatPages(pages.total)],
    ['  sent', `${formatPages(pages.sent)}: ${pages.demanded} demanded, ${pages.pushed} pushed`],
    ['  sent again', `${pages.resent} pages`],
    ['  never written', formatPages(pages.absent)],
    ['fault wait', wait.count === 0 ? 'no faults' : `${wait.count} faults, mean ${formatMicros(wait.mean)}`],
    ['  p50 / p90', wait.count === 0 ? undefined : `${formatMicros(wait.p50)} / ${formatMicros(wait.p90)}`],
    ['  p99 / max', wait.count === 0 ? undefined : `${formatMicros(wait.p99)} / ${formatMicros(wait.max)}`],
    ['vCPUs blocked', formatDuration(summary.vcpuBlockedMs)],
    [
      'memory, peak',
      `source ${formatSize(memory.sourcePeakBytes)}, destination ${formatSize(memory.destinationPeakBytes)}`,
    ],
    ['  both at a time', formatSize(memory.sumPeakBytes)],
  ]);
}

function formatPages(pages: number): string {
  return `${pages} pages (${formatSize(bytesOfPages(pages))})`;
}
