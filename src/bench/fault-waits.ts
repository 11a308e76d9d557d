/**
 * Fault waits as the guest felt them. An access that waits for a page is longer than one that does not, but KVM's own
 * mapping faults are slow accesses too (5 to 30 us): so the N longest accesses are taken for the fault waits, N being the
 * number of demand faults that the system itself counted.
 */

/** [upper bound in us, accesses below it and not below the bound before], in order, empty ones left out. */
export type Histogram = [upperUs: number, count: number][];

/** Buckets of the guest's histogram to an octave (native/guest/stats.h). */
const PER_OCTAVE = 16;
/** Longer than what happens without a migration: a cross-check that needs no system's count. */
const SLOW_US = 50;

export interface Waits {
  count: number;
  meanUs: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
}

/** The `count` longest of the accesses; `longestUs` is the longest of them, exactly. All 0 if there are none. */
export function longestWaits(histogram: Histogram, count: number, longestUs: number): Waits {
  const taken = takeLongest(histogram, count);
  const total = taken.reduce((sum, [, n]) => sum + n, 0);
  if (total === 0) return { count: 0, meanUs: 0, p50Us: 0, p99Us: 0, maxUs: 0 };
  const sum = taken.reduce((us, [upper, n]) => us + Math.min(middleOf(upper), longestUs) * n, 0);
  const at = (share: number) => waitAt(taken, total, longestUs, share);
  return { count: total, meanUs: sum / total, p50Us: at(0.5), p99Us: at(0.99), maxUs: longestUs };
}

/** The accesses longer than SLOW_US. */
export function slowAccesses(histogram: Histogram, longestUs: number): Waits {
  const slow = histogram.filter(([upper]) => lowerOf(upper) >= SLOW_US);
  const count = slow.reduce((sum, [, n]) => sum + n, 0);
  return longestWaits(slow, count, longestUs);
}

/** The wait that this share of the `count` longest accesses does not exceed. */
export function waitAt(histogram: Histogram, count: number, longestUs: number, share: number): number {
  const taken = takeLongest(histogram, count);
  const total = taken.reduce((sum, [, n]) => sum + n, 0);
  return total === 0 ? 0 : Math.min(middleOf(percentile(taken, total * share)), longestUs);
}

/** In ascending order. */
function takeLongest(histogram: Histogram, count: number): Histogram {
  const taken: Histogram = [];
  let left = count;
  for (const [upper, n] of [...histogram].reverse()) {
    const some = Math.min(n, left);
    if (some > 0) taken.unshift([upper, some]);
    left -= some;
  }
  return taken;
}

/** Upper bound of the bucket in which that many are reached. */
function percentile(histogram: Histogram, rank: number): number {
  let left = rank;
  for (const [upper, n] of histogram) {
    left -= n;
    if (left <= 0) return upper;
  }
  return histogram.at(-1)![0];
}

/** Bounds are (16 ... 32) / 16 times a power of two; the bucket below 1 us begins at 0. */
export function lowerOf(upperUs: number): number {
  if (upperUs <= 1) return 0;
  // The bucket's octave is that of its lower bound: an upper bound that is a power of two ends the octave below.
  const octave = 2 ** (Math.ceil(Math.log2(upperUs)) - 1);
  return upperUs - octave / PER_OCTAVE;
}

function middleOf(upperUs: number): number {
  return (lowerOf(upperUs) + upperUs) / 2;
}
