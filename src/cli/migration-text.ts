import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import { bytesOfPages } from '../memory/page-size.js';
import { linkText } from '../migrate/report/link-text.js';
import { plain } from '../basics/plain.js';
import { formatFields } from '../basics/table.js';
import { formatDuration, formatMicros, formatRate, formatSize } from '../basics/units.js';

/** The live line of `postcopy migrate`. */
export function progressLine(name: string, progress: MigrationProgress): string {
  const { phase, pagesLeft, bytesPerSecond, faultsWaiting, elapsedMs, link, bandwidth, round } = progress;
  const isBefore = (phase === 'preparing' || phase === 'watching') && link !== undefined;
  const parts = [
    `${name}: ${plain(phase)}`,
    ...(round === undefined ? [] : [`round ${round.number}`]),
    `${formatPages(pagesLeft)} left`,
    isBefore ? `link: ${linkText(link)}` : formatRate(bytesPerSecond),
    ...(bandwidth === undefined ? [] : [`limited to ${formatRate(bandwidth)}`]),
    round === undefined
      ? `${faultsWaiting} faults waiting`
      : `the guest writes ${formatRate(bytesOfPages(round.dirtyPagesPerSecond))}`,
    formatDuration(elapsedMs),
    ...(phase === 'pulling' && bytesPerSecond > 0
      ? [`about ${formatDuration((bytesOfPages(pagesLeft) / bytesPerSecond) * 1000)} to go`]
      : []),
  ];
  return parts.join(', ');
}

/** What is told of a dry run that ended well. */
export function dryRunText(name: string, destination: string, { findings = [], totalMs }: MigrationSummary): string {
  const found = formatFields(findings.map(({ what, result }): [string, string] => [what, result]));
  const said = `${name} could move to ${destination} now: nothing stands against it, seen in ${formatDuration(totalMs)}`;
  return `${said}\n${found}`;
}

/** What is told at the end: one sentence for the outcome, then the figures. */
export function summaryText(name: string, destination: string, summary: MigrationSummary): string {
  return `${outcome(name, destination, summary)}\n${summaryTable(summary)}`;
}

function outcome(name: string, destination: string, { status, totalMs, inDoubt }: MigrationSummary): string {
  if (status === 'completed') return `${name} is at ${destination}, moved completely in ${formatDuration(totalMs)}`;
  if (inDoubt === true)
    return `${name} stands still here: the link to ${destination} was lost in the instant of the hand-over`;
  return `${name} is lost, unless it runs whole at ${destination}: the link was lost after the hand-over`;
}

function summaryTable(summary: MigrationSummary): string {
  const { pages, rounds, watched, faultWaitUs: wait, memory } = summary;
  return formatFields([
    ['mode', summary.mode],
    ['machine', summary.machine],
    ['total time', formatDuration(summary.totalMs)],
    ['downtime', formatDuration(summary.downtimeMs)],
    ['on the wire', formatSize(summary.wireBytes)],
    ['limited to', summary.bandwidth === undefined ? undefined : formatRate(summary.bandwidth)],
    ['page channels', channelsText(summary.channels)],
    ['guest memory', formatPages(pages.total)],
    ['  sent', `${formatPages(pages.sent)}: ${pages.demanded} demanded, ${pages.pushed} pushed`],
    ['  before it', rounds === undefined ? undefined : roundsText(rounds, pages.copied ?? 0)],
    ['  written before', watched === undefined ? undefined : watchedText(watched)],
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

/** Of what was sent before the hand-over. */
function watchedText({ ms, pages }: NonNullable<MigrationSummary['watched']>): string {
  return `${formatPages(pages)} in ${formatDuration(ms)}`;
}

function roundsText({ count, ms }: NonNullable<MigrationSummary['rounds']>, copied: number): string {
  return `${formatPages(copied)} in ${count} ${count === 1 ? 'round' : 'rounds'}, ${formatDuration(ms)}`;
}

function channelsText(channels: MigrationSummary['channels']): string | undefined {
  if (channels === undefined) return undefined;
  const mtu = Math.min(...channels.map((channel) => channel.mtu ?? Infinity));
  const parts = [
    `${channels.length} tried`,
    `${formatMicros(Math.min(...channels.map(({ roundTripUs }) => roundTripUs)))} round trip`,
    ...(Number.isFinite(mtu) ? [`MTU ${mtu}`] : []),
  ];
  return parts.join(', ');
}

function formatPages(pages: number): string {
  return `${pages} pages (${formatSize(bytesOfPages(pages))})`;
}
