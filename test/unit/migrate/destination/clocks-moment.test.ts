import { expect, it } from 'vitest';
import { clocksMoment } from '../../../../src/migrate/destination/clocks-moment.js';

const COMMIT = { epoch: 1, sinceClockMicros: 20_000, clocksAtMicros: 700_000, wallClockMs: 5 };
const AT = 9_000_000;

it.each<[why: string, offset: number | undefined, atMicros: number]>([
  ['COMMIT alone tells it if the peer never pinged', undefined, 8_980_000],
  ['COMMIT came at once', 8_280_500, 8_980_000],
  ['COMMIT was held up for half a second', 7_780_000, 8_480_000],
  ['pings are nonsense', -1e300, 8_980_000],
  ['pings are no numbers', NaN, 8_980_000],
])('%s', (_, offset, atMicros) => {
  expect(clocksMoment({ at: AT, body: COMMIT }, offset)).toEqual({ atMicros, wallClockMs: 5 });
});

it('takes the word of a source that does not tell its clock', () => {
  const body = { epoch: 1, sinceClockMicros: 20_000 };
  expect(clocksMoment({ at: AT, body }, 1)).toEqual({ atMicros: 8_980_000, wallClockMs: undefined });
});
