import { formatMicros, formatRate } from '../../basics/units.js';
import type { MigrationProgress } from '../../watch/events.js';

/** What a link has shown when its channels were tried. */
export function linkText({ roundTripUs, bytesPerSecond }: NonNullable<MigrationProgress['link']>): string {
  return `${formatMicros(roundTripUs)} round trip, ${formatRate(bytesPerSecond)} at least`;
}
