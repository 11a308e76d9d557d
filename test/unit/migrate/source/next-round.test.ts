import { describe, expect, it } from 'vitest';
import { checkMigrateOptions } from '../../../../src/migrate/options.js';
import { nextStep, roundsGoalOf, type RoundSeen, type RoundsGoal } from '../../../../src/migrate/source/next-round.js';

const GOAL: RoundsGoal = { mode: 'pre-copy', downtimeMs: 300, timeoutMs: 10_000, onTimeout: 'post-copy' };
const SEEN: RoundSeen = { copied: 10_000, left: 6000, downtimeMs: 900, elapsedMs: 2000 };

describe('the goal of rounds', () => {
  it('is what the options say, in milliseconds', () => {
    const options = checkMigrateOptions({ mode: 'hybrid', downtime: 20, timeout: 3, onTimeout: 'stop' });
    expect(roundsGoalOf(options)).toEqual({ mode: 'hybrid', downtimeMs: 20, timeoutMs: 3000, onTimeout: 'stop' });
  });

  it('is none in post-copy, which is what is meant where nothing is said', () => {
    expect(roundsGoalOf(checkMigrateOptions({}))).toBeUndefined();
  });
});

describe('behind a round of pre-copy', () => {
  it.each<[string, Partial<RoundSeen>, string]>([
    ['another one, as long as the rest takes too long', {}, 'round'],
    ['another one, though it leaves more than it sent', { left: 20_000 }, 'round'],
    ['the guest is stopped when the rest fits', { downtimeMs: 300 }, 'stop-whole'],
    ['and when nothing is left, however long STATE may take', { left: 0 }, 'stop-whole'],
    ['also when the time is up', { downtimeMs: 200, elapsedMs: 99_000 }, 'stop-whole'],
  ])('%s', (_, seen, step) => {
    expect(nextStep(GOAL, { ...SEEN, ...seen })).toBe(step);
  });

  it.each([
    ['post-copy', 'stop-short'],
    ['stop', 'stop-whole'],
    ['cancel', 'cancel'],
  ] as const)('comes, when the time is up and a guest is too fast, what on-timeout says: %s', (onTimeout, step) => {
    expect(nextStep({ ...GOAL, onTimeout }, { ...SEEN, elapsedMs: 10_000 })).toBe(step);
    expect(nextStep({ ...GOAL, onTimeout }, { ...SEEN, elapsedMs: 9999 })).toBe('round');
  });
});

describe('behind a round of hybrid', () => {
  it.each<[string, Partial<RoundSeen>, string]>([
    ['another one, if this one has left less than half', { left: 4999 }, 'round'],
    ['the hand-over, if it has not', { left: 5000 }, 'stop-short'],
    ['the hand-over, if what is left is not worth a round', { left: 256 }, 'stop-short'],
    ['the hand-over, if the time is up', { left: 1000, elapsedMs: 10_000 }, 'stop-short'],
  ])('comes %s', (_, seen, step) => {
    expect(nextStep({ ...GOAL, mode: 'hybrid', onTimeout: 'cancel' }, { ...SEEN, ...seen })).toBe(step);
  });
});
