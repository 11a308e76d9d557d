import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WaitHistogram } from '../../../../src/migrate/report/wait-histogram.js';

const SHARES = { p50: 0.5, p90: 0.9, p99: 0.99 } as const;

function histogramOf(waits: number[]): WaitHistogram {
  const histogram = new WaitHistogram();
  for (const wait of waits) histogram.record(wait);
  return histogram;
}

/** The nearest-rank percentile of the sorted waits, against ours: never below it, and one bucket above it at most. */
function expectClose(waits: number[]): void {
  const sorted = [...waits].sort((a, b) => a - b);
  const summary = histogramOf(waits).summary();
  for (const [name, share] of Object.entries(SHARES) as [keyof typeof SHARES, number][]) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
    expect(summary[name], name).toBeGreaterThanOrEqual(exact);
    expect(summary[name], name).toBeLessThanOrEqual(Math.max(exact + 1, exact * 1.0625 + 1e-6));
    expect(summary[name], name).toBeLessThanOrEqual(summary.max);
  }
  expect(summary.count).toBe(waits.length);
  expect(summary.max).toBe(sorted.at(-1));
  expect(summary.mean).toBeCloseTo(waits.reduce((sum, wait) => sum + wait, 0) / waits.length, 3);
}

describe('WaitHistogram', () => {
  it('of nothing is all zero', () => {
    expect(new WaitHistogram().summary()).toEqual({ count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 });
  });

  it('of one wait is that wait', () => {
    expect(histogramOf([37]).summary()).toEqual({ count: 1, mean: 37, p50: 37, p90: 37, p99: 37, max: 37 });
    expect(histogramOf([0]).summary()).toEqual({ count: 1, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 });
  });

  it('has percentiles that are known', () => {
    // 98 of 20 us, one of 1,000, one of 100,000. The bucket of 20 ends at 21, that of 1,000 at 1,024.
    const { p50, p90, p99, max, mean } = histogramOf([...new Array<number>(98).fill(20), 1000, 100_000]).summary();
    expect({ p50, p90, p99, max, mean }).toEqual({ p50: 21, p90: 21, p99: 1024, max: 100_000, mean: 1029.6 });
  });

  it('is exact to a bucket for small waits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 64 }), { minLength: 1, maxLength: 300, size: 'max' }),
        expectClose,
      ),
    );
  });

  it('is exact to 6.25 % for waits of every size', () => {
    const micros = fc.integer({ min: 0, max: 300 }).map((step) => 1.07 ** step);
    fc.assert(fc.property(fc.array(micros, { minLength: 1, maxLength: 300, size: 'max' }), expectClose));
  });

  it('takes waits at the borders of its buckets', () => {
    for (let power = 0; power < 31; power++) {
      for (const wait of [2 ** power - 1, 2 ** power, 2 ** power + 1]) expectClose([wait]);
    }
  });

  it('takes what is out of range without harm', () => {
    const histogram = histogramOf([-5, 2 ** 40]);
    expect(histogram.count).toBe(2);
    expect(histogram.summary().max).toBe(2 ** 40);
  });

  it('adds up', () => {
    const waits = Array.from({ length: 200 }, (_, i) => i * i);
    const sum = new WaitHistogram();
    sum.add(histogramOf(waits.slice(0, 50)));
    sum.add(histogramOf(waits.slice(50)));
    expect(sum.summary()).toEqual(histogramOf(waits).summary());
    expect(sum.sum).toBe(waits.reduce((a, b) => a + b, 0));
  });

  it('shares its buffer', () => {
    const histogram = new WaitHistogram();
    new WaitHistogram(histogram.buffer).record(12);
    expect(histogram.summary().max).toBe(12);
  });
});
