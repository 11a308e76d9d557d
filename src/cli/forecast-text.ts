/** What `postcopy forecast` prints for people. */
import { formatTable } from '../basics/table.js';
import { formatDuration, formatSize } from '../basics/units.js';
import type { ModeForecast } from '../forecast/forecast.js';
import type { Recommendation } from '../forecast/recommend.js';
import { bytesOfPages } from '../memory/page-size.js';
import type { WriteMeasure } from '../vm/service.js';

export interface LinkForecast {
  /** As people name it. */
  link: string;
  modes: ModeForecast[];
  recommended: Recommendation;
}

const HEADS = ['', 'downtime', 'total', 'full speed after', 'waiting', 'a fault', 'bytes', ''];
const BITS = [
  { unit: 'Gbit/s', bits: 1e9 },
  { unit: 'Mbit/s', bits: 1e6 },
];

export function forecastText(name: string, measured: WriteMeasure, forecasts: readonly LinkForecast[]): string {
  return [measuredText(name, measured), ...forecasts.map(linkText)].join('\n\n');
}

function measuredText(name: string, { dataPages, written }: WriteMeasure): string {
  const longest = written.reduce((one, other) => (other.ms > one.ms ? other : one), { ms: 0, pages: 0 });
  const wrote = `has written ${formatSize(bytesOfPages(longest.pages))} of it in ${formatDuration(longest.ms)}`;
  return `${name} has ${formatSize(bytesOfPages(dataPages))} of data, and ${wrote}`;
}

function linkText({ link, modes, recommended: { mode, reason } }: LinkForecast): string {
  const table = formatTable([HEADS, ...modes.map(rowOf)]);
  return `Link ${link}:\n${table}\nRecommended: ${mode}: ${reason}`;
}

function rowOf(it: ModeForecast): string[] {
  const times = [it.downtimeMs, it.totalMs, it.fullSpeedMs, it.waitingMs, it.faultMs].map(formatDuration);
  return [it.mode, ...times, formatSize(it.wireBytes), remarkOf(it)];
}

function remarkOf({ ends, converges, convergesFromBits }: ModeForecast): string {
  if (converges !== false) return '';
  const from = convergesFromBits === undefined ? 'on no link' : `from ${rateText(convergesFromBits)} on`;
  const end = ends === 'cancelled' ? ', and the guest stays' : '';
  return `never converges, would ${from}${end}`;
}

function rateText(bitsPerSecond: number): string {
  const { unit, bits } = BITS.find((it) => bitsPerSecond >= it.bits) ?? BITS[1]!;
  return `${Number((bitsPerSecond / bits).toPrecision(2))} ${unit}`;
}
