import { describe, expect, it } from 'vitest';
import { HeldWindow } from '../../../../src/migrate/flow/held-window.js';

const LEAST = 12;

/** Rounds of `micros` that each bring what is in flight, up to `most` of it; the windows there were, one after the other. */
function run(held: HeldWindow, rounds: number, most: number, micros = 10_000): number[] {
  const windows = [held.pages(LEAST)];
  for (let i = 0; i < rounds; i++) {
    held.endRound(Math.min(most, held.pages(LEAST)), micros, LEAST);
    if (held.pages(LEAST) !== windows.at(-1)) windows.push(held.pages(LEAST));
  }
  return windows;
}

describe('HeldWindow', () => {
  it('holds the least at first, and tries twice of it after 13 rounds', () => {
    const held = new HeldWindow();
    expect(run(held, 12, Infinity)).toEqual([12]);
    expect(run(held, 1, Infinity)).toEqual([12, 24]);
  });

  it('keeps what moves more, up to eight times the least', () => {
    const held = new HeldWindow();
    expect(run(held, 60, Infinity)).toEqual([12, 24, 48, 96]);
    // Half of it would move half.
    expect(run(held, 200, Infinity)).toEqual([96, 48, 96, 48, 96]);
  });

  it('goes back from what moves no more, rests, each time for longer, and tries again', () => {
    const held = new HeldWindow();
    expect(run(held, 26, 12)).toEqual([12, 24, 12]);
    expect(run(held, 10 + 12, 12)).toEqual([12]);
    expect(run(held, 14, 12)).toEqual([12, 24, 12]);
    expect(run(held, 20 + 12, 12)).toEqual([12]);
    expect(run(held, 14, 12)).toEqual([12, 24, 12]);
  });

  it('rests for a time and not for rounds', () => {
    const held = new HeldWindow();
    run(held, 26, 12, 1000);
    expect(run(held, 100 + 12, 12, 1000)).toEqual([12]);
    expect(run(held, 1, 12, 1000)).toEqual([12, 24]);
  });

  it('stays where twice as much moves little more and half of it much less', () => {
    const held = new HeldWindow();
    const windows = run(held, 500, 30);
    expect(windows.slice(0, 5)).toEqual([12, 24, 48, 24, 12]);
    expect(new Set(windows.slice(2))).toEqual(new Set([12, 24, 48]));
    expect(windows.filter((window) => window === 96)).toEqual([]);
  });

  it('gives up by halves what is not worth it any more', () => {
    const held = new HeldWindow();
    run(held, 60, Infinity);
    expect(held.pages(LEAST)).toBe(96);
    expect(run(held, 1000, 5).slice(0, 4)).toEqual([96, 48, 24, 12]);
  });

  it('is never below a least that has grown', () => {
    const held = new HeldWindow();
    run(held, 30, Infinity);
    expect(held.pages(1000)).toBe(1000);
  });
});
