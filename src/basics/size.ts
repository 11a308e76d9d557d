/** Sizes as people write them. */

const SIZE = /^(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?$/i;
/** The same for readers without flags, with the blanks that parseSize() takes off. */
export const SIZE_PATTERN = '^\\s*\\d+(\\.\\d+)?\\s*[KMGTkmgt]([Ii]?[Bb])?\\s*$';
/** Powers of 1024, as QEMU and the kernel read the same suffixes. */
const EXPONENTS: Record<string, number> = { K: 1, M: 2, G: 3, T: 4 };

/**
 * Bytes of `1G`, `512M`, `64MiB`, `1.5g`; undefined for anything else. A unit is required: a bare number means bytes to
 * some and MiB to others.
 */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Number(match[1]) * 1024 ** EXPONENTS[match[2]!.toUpperCase()]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1536 MiB`-like text for people: the largest unit that leaves at least 1, one decimal where it is not whole. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 'B';
  for (const next of UNITS) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}
