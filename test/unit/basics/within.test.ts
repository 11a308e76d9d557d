import { describe, expect, it } from 'vitest';
import { within } from '../../../src/basics/within.js';

const never = () => new Promise<string>(() => {});
const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;

describe('within', () => {
  it('brings what the promise brings, and leaves no timer behind', async () => {
    const before = timers();
    expect(await within(Promise.resolve('it'), 60_000, () => 'late')).toBe('it');
    await expect(within(Promise.reject(new Error('no')), 60_000, () => 'late')).rejects.toThrow('no');
    expect(timers()).toBe(before);
  });

  it('says what it is told to when it takes too long', async () => {
    expect(await within(never(), 1, () => 'late')).toBe('late');
    expect(await within(never(), 1, () => undefined)).toBeUndefined();
    const fail = () => {
      throw new Error('too late');
    };
    await expect(within(never(), 1, fail)).rejects.toThrow('too late');
  });

  it('leaves nobody to hear of a failure that comes later', async () => {
    let fail!: (error: Error) => void;
    const failing = new Promise<string>((_, reject) => (fail = reject));
    expect(await within(failing, 1, () => 'late')).toBe('late');
    fail(new Error('unheard'));
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would fail this file
  });
});
