/** Rates of a network as people write them. */

/** A lower case `b` alone means bits to some and bytes to others. */
const RATE = /^\s*(\d+(?:\.\d+)?)\s*([KMGT])((?:i?B)?|bit)(?:\/s)?\s*$/;
const PREFIXES = 'KMGT';
const BITS_PER_BYTE = 8;

/**
 * Whole bytes per second of `100M`, `1.5GiB/s` (bytes, powers of 1024, as in sizes) or `1Gbit`, `800Mbit/s` (bits, powers of
 * 1000, as links are sold); undefined for anything else. The prefix may be in lower case.
 */
export function parseRate(text: string): number | undefined {
  const match = RATE.exec(text.replace(/[kmgt]/i, (prefix) => prefix.toUpperCase()));
  if (match === null) return undefined;
  const [, number, prefix, unit] = match as unknown as [string, string, string, string];
  const power = PREFIXES.indexOf(prefix) + 1;
  const bytes = unit === 'bit' ? (Number(number) * 1000 ** power) / BITS_PER_BYTE : Number(number) * 1024 ** power;
  return Number.isFinite(bytes) ? Math.floor(bytes) : undefined;
}
