import { describe, expect, it } from 'vitest';
import { countsDown, withTimerMoved, withTimerStopped } from '../../../src/machine/lapic-timer.js';
import { lapicTimer, timerOf, type LapicTimer } from './lapic-registers.js';

/** Its count so much later. */
function countAfter(timer: LapicTimer, micros: number): number {
  const saved = lapicTimer(timer);
  return timerOf(withTimerMoved(withTimerStopped(saved), saved, micros)).current;
}

describe('the timer of a local APIC', () => {
  it('is moved on where it counts down, and not where it is a deadline or off', () => {
    expect(countsDown(lapicTimer({ initial: 5, current: 0 }))).toBe(true);
    expect(countsDown(lapicTimer({ initial: 5, current: 1, mode: 'periodic' }))).toBe(true);
    expect(countsDown(lapicTimer({ initial: 5, current: 1, mode: 'deadline' }))).toBe(false);
    expect(countsDown(lapicTimer({ initial: 0, current: 0 }))).toBe(false);
  });

  it.each([
    [0b1011, 1],
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
  ])('counts nanoseconds divided as its register %i says, by %i', (divide, divisor) => {
    expect(countAfter({ initial: 1_000_000, current: 900_000, divide }, 256)).toBe(900_000 - 256_000 / divisor);
  });

  it.each<[why: string, timer: LapicTimer, micros: number, current: number]>([
    ['is due at once, one-shot, when its time has passed', { initial: 9000, current: 5000 }, 6, 0],
    ['has run out already and stays so', { initial: 9000, current: 0 }, -3, 0],
    ['was set less long ago than that', { initial: 9000, current: 8000 }, -3, 9000],
    ['is due at once, periodic, when a period has ended', { initial: 9000, current: 5000, mode: 'periodic' }, 60, 1],
    ['is in the middle of its period', { initial: 9000, current: 5000, mode: 'periodic' }, 3, 2000],
    ['was in the middle of the period', { initial: 9000, current: 5000, mode: 'periodic' }, -3, 8000],
    ['was in an earlier period', { initial: 9000, current: 5000, mode: 'periodic' }, -15, 2000],
    ['was at an end of a period', { initial: 9000, current: 3000, mode: 'periodic' }, -15, 1],
    ['has come a long way', { initial: 2 ** 32 - 1, current: 2 ** 32 - 1 }, 1e12, 0],
  ])('%s', (_, timer, micros, current) => {
    expect(countAfter(timer, micros)).toBe(current);
  });

  it('alone is changed', () => {
    const saved = lapicTimer({ initial: 9000, current: 5000 });
    const now = withTimerStopped(saved);
    now[0x200] = 0x10; // an interrupt has come meanwhile
    const moved = withTimerMoved(now, saved, 1);
    const different = [...moved.keys()].filter((at) => moved[at] !== saved[at]);
    expect(timerOf(moved)).toEqual({ initial: 9000, current: 4000 });
    expect(different.filter((at) => at < 0x390 || at >= 0x394)).toEqual([0x200]);
  });
});
