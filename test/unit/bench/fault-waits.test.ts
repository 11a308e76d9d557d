import { describe, expect, test } from 'vitest';
import { longestWaits, lowerOf, slowAccesses, waitAt, type Histogram } from '../../../src/bench/fault-waits.js';

/** As native/guest/stats.c makes it. */
function histogramOf(waits: number[]): Histogram {
  const counts = new Map<number, number>();
  for (const us of waits) {
    const octave = 2 ** Math.floor(Math.log2(us));
    const upper = us < 1 ? 1 : octave + ((Math.floor((us / octave - 1) * 16) + 1) * octave) / 16;
    counts.set(upper, (counts.get(upper) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

describe('a bucket', () => {
  test('is a sixteenth of its octave wide', () => {
    expect(lowerOf(1.0625)).toBe(1);
    expect(lowerOf(2)).toBe(1.9375);
    expect(lowerOf(2.125)).toBe(2);
    expect(lowerOf(1024)).toBe(992);
    expect(lowerOf(1088)).toBe(1024);
  });

  test('below a microsecond begins at 0', () => expect(lowerOf(1)).toBe(0));
});

describe('the longest accesses', () => {
  const short = Array.from({ length: 1000 }, () => 5);

  test('are the fault waits, as many as there were faults', () => {
    const { count, meanUs } = longestWaits(histogramOf([...short, 90, 100, 110]), 3, 110);
    expect(count).toBe(3);
    expect(meanUs).toBeGreaterThan(97);
    expect(meanUs).toBeLessThan(103);
  });

  test('take a part of a bucket if more are in it', () => {
    expect(longestWaits([[64, 10], [128, 2]], 5, 128)).toMatchObject({ count: 5, p50Us: 63 }); // prettier-ignore
  });

  test('are all there are if there were fewer than faults', () => {
    expect(longestWaits([[64, 2]], 5, 63)).toMatchObject({ count: 2 });
  });

  test('are none without faults', () => {
    expect(longestWaits(histogramOf(short), 0, 5)).toEqual({ count: 0, meanUs: 0, p50Us: 0, p99Us: 0, maxUs: 0 });
  });

  test('none is longer than the longest', () => {
    const waits = longestWaits([[64, 1]], 1, 60.5);
    expect(waits).toMatchObject({ meanUs: 60.5, p50Us: 60.5, p99Us: 60.5, maxUs: 60.5 });
  });

  test('have a mean within 1 % of the true one', () => {
    const waits = Array.from({ length: 5000 }, (_, i) => 30 + ((i * 7919) % 5000));
    const mean = waits.reduce((sum, us) => sum + us, 0) / waits.length;
    const { meanUs } = longestWaits(histogramOf(waits), waits.length, Math.max(...waits));
    expect(Math.abs(meanUs / mean - 1)).toBeLessThan(0.01);
  });

  test('have the percentiles of the sorted list, to a bucket', () => {
    const waits = Array.from({ length: 1000 }, (_, i) => i + 1);
    const { p50Us, p99Us } = longestWaits(histogramOf(waits), 1000, 1000);
    expect(p50Us / 500).toBeCloseTo(1, 1);
    expect(p99Us / 990).toBeCloseTo(1, 1);
    expect(waitAt(histogramOf(waits), 100, 1000, 0.5) / 950).toBeCloseTo(1, 1);
  });
});

test('slow accesses are those whose whole bucket is above 50 us', () => {
  expect(slowAccesses(histogramOf([5, 49, 60, 70]), 70).count).toBe(2);
  expect(slowAccesses([], 0).count).toBe(0);
});
