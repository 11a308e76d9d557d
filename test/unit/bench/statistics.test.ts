import { expect, test } from 'vitest';
import { median, spread } from '../../../src/bench/statistics.js';

test('the median is the middle one, or the mean of two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test('a spread leaves its values as they are', () => {
  const values = [3, 1, 2];
  expect(spread(values)).toEqual({ median: 2, min: 1, max: 3, count: 3 });
  expect(values).toEqual([3, 1, 2]);
});
