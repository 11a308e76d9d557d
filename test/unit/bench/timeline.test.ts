import { describe, expect, test } from 'vitest';
import {
  backUs,
  lostUs,
  speedAtEnd,
  switchInterval,
  switchStallUs,
  timeline,
  type Timeline,
} from '../../../src/bench/timeline.js';

const FULL = 1000;

function line(counts: number[], longestUs: number[] = counts.map(() => 10), commandAt = 0): Timeline {
  return { intervalUs: 10_000, before: FULL, counts, longestUs, commandAt };
}

const full = (intervals: number) => Array.from({ length: intervals }, () => FULL);

describe('cutting', () => {
  const series = (start_us: number, counts: number[]) => ({
    ...{ event: 'series', interval_us: 10_000, start_us, now_us: 0 },
    ...{ counts, longest_us: counts.map((count) => count * 2) },
  });

  test('the command is in interval 0, the speed before is the median of whole intervals', () => {
    const cut = timeline(series(0, [1, 90, 100, 110, 2]), series(50_000, [5, 100, 80, 60, 3]), 62_500);
    expect(cut).toEqual({
      intervalUs: 10_000,
      before: 100,
      counts: [100, 80, 60],
      longestUs: [200, 160, 120],
      commandAt: 0.25,
    });
  });

  test('a command before the series begins is at its beginning', () => {
    expect(timeline(series(0, [1, 90, 2]), series(50_000, [5, 6, 7]), 49_000)).toMatchObject({
      counts: [5, 6],
      commandAt: 0,
    });
  });
});

describe('the switch-over', () => {
  test('is where the speed falls below 5 %', () => {
    expect(switchInterval(line([1000, 300, 100, 49, 2, 1000]))).toBe(3);
  });

  test('is where it falls below half if it never falls deeper', () => {
    expect(switchInterval(line([1000, 900, 499, 60, 1000]))).toBe(2);
  });

  test('is not there if it never falls below half', () => {
    expect(switchInterval(line([1000, 600, 500, 1000]))).toBe(-1);
    expect(switchStallUs(line([1000, 600, 500, 1000]))).toBeUndefined();
  });

  test("leaves out what the command's interval did before the command", () => {
    expect(switchInterval(line([610, 1000, 10], undefined, 0.6))).toBe(0);
    expect(switchInterval(line([950, 1000, 10], undefined, 0.6))).toBe(2);
    expect(switchInterval(line([940, 1000, 10], undefined, 0.95))).toBe(2);
  });
});

describe('the stall at the switch-over', () => {
  test('ends in a later interval', () => {
    expect(switchStallUs(line([1000, 20, 0, 0, 3, 5], [50, 60, 0, 0, 31_000, 40_000]))).toBe(31_000);
  });

  test('ends in its own interval', () => {
    expect(switchStallUs(line([1000, 20, 5, 5], [50, 8000, 3000, 9000]))).toBe(8000);
  });

  test('begins unnoticed in an interval that is nearly whole', () => {
    expect(switchStallUs(line([1000, 800, 0, 40, 50], [50, 60, 0, 17_000, 20_000]))).toBe(17_000);
  });

  test('lasts to the end of what was seen', () => expect(switchStallUs(line([1000, 10, 0, 0]))).toBe(10));
});

describe('being back', () => {
  test('is 50 ms of 90 %, from the command on', () => {
    const counts = [...full(2), 10, 0, 0, 900, 0, ...full(6)];
    expect(backUs(line(counts, undefined, 0.5), FULL)).toBe((7 - 0.5) * 10_000);
  });

  test('may be at a lower speed than before', () => {
    const counts = [1000, 0, 0, ...Array.from({ length: 6 }, () => 600)];
    expect(backUs(line(counts), FULL)).toBe(Infinity);
    expect(backUs(line(counts), 600)).toBe(30_000);
  });

  test('takes no time for who never left', () => expect(backUs(line(full(10)), FULL)).toBe(0));

  test('never comes in less than 50 ms', () => expect(backUs(line([1000, 0, ...full(4)]), FULL)).toBe(Infinity));
});

describe('work lost', () => {
  test('is time of full speed', () => {
    expect(lostUs(line([1000, 0, 500, 1000, 1000]), 40_000)).toBe(15_000);
  });

  test('ends where it is asked to', () => expect(lostUs(line([1000, 0, 0, 0]), 20_000)).toBe(10_000));

  test('is none if more was done', () => expect(lostUs(line([1100, 1100]), 20_000)).toBe(0));
});

test('the speed at the end is the median of the last intervals', () => {
  expect(speedAtEnd(line([1, 1, 1, 500, 700, 600]), 30_000)).toBe(600);
});
