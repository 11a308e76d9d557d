import { expect, it } from 'vitest';
import { RoundSignal } from '../../../../src/migrate/source/round-signal.js';

it('tells of rounds, each of which is another change, and of their end', () => {
  const signal = new RoundSignal();
  const elsewhere = new RoundSignal(signal.buffer);
  const seen = () => [elsewhere.change, elsewhere.open];
  expect(seen()).toEqual([0, false]);
  expect([signal.begin(), ...seen()]).toEqual([1, 1, true]);
  expect([signal.begin(), ...seen()]).toEqual([2, 2, true]);
  expect([signal.close(), ...seen()]).toEqual([3, 3, false]);
  expect([signal.begin(), ...seen()]).toEqual([4, 4, true]);
});
