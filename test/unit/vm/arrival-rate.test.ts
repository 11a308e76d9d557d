import { afterEach, expect, it, vi } from 'vitest';
import { native } from '../../../src/native.js';
import { ArrivalRate } from '../../../src/vm/arrival-rate.js';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it('is what has come in the last seconds, and from that what the rest takes', () => {
  vi.useFakeTimers();
  let now = 0;
  let left = 100_000;
  vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
  const rate = new ArrivalRate(() => left);
  expect([rate.bytesPerSecond, rate.leftMs]).toEqual([0, undefined]);
  rate.start();
  const pass = (seconds: number, pagesPerSecond: number) => {
    for (let half = 0; half < 2 * seconds; half++) {
      now += 500_000;
      left -= pagesPerSecond / 2;
      vi.advanceTimersByTime(500);
    }
  };
  pass(20, 1000);
  expect([rate.bytesPerSecond, rate.leftMs]).toEqual([4096 * 1000, 80_000]);
  pass(5, 2000);
  expect([rate.bytesPerSecond, rate.leftMs]).toEqual([4096 * 2000, 35_000]);
  pass(5, 0);
  expect([rate.bytesPerSecond, rate.leftMs]).toEqual([0, undefined]);
  rate.stop();
  expect(vi.getTimerCount()).toBe(0);
});
