import { expect, it } from 'vitest';
import { readBetween } from '../../../src/basics/read-between.js';

/** Reads that take so long each, and count. */
function reads(...took: number[]): { now: () => number; read: () => number; count: () => number } {
  let now = 100;
  let count = 0;
  return { now: () => now, read: () => ((now += took[count] ?? 0), count++), count: () => count };
}

it.each<[why: string, took: number[], value: number, atMicros: number, count: number]>([
  ['the first, if it was quick', [20, 0], 0, 110, 1],
  ['the first quick one', [5000, 10], 1, 5105, 2],
  ['the quickest, if none is quick', [500, 400, 600, 700, 0], 1, 800, 4],
])('takes %s', (_, took, value, atMicros, count) => {
  const clock = reads(...took);
  expect(readBetween(clock.now, clock.read)).toEqual({ value, atMicros });
  expect(clock.count()).toBe(count);
});
