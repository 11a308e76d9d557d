import { describe, expect, it } from 'vitest';
import { RateLimit } from '../../../../src/migrate/flow/rate-limit.js';

const SECOND = 1_000_000;
/** What is sent more, at once, by those who come late. */
const CREDIT_MICROS = 50_000;
const LONGEST_WAIT_MICROS = 20_000;

function limited(bytesPerSecond: number | undefined, now = 0): RateLimit {
  const limit = new RateLimit();
  limit.set(bytesPerSecond, now);
  return limit;
}

/** Bytes that so many channels send within that time, each of which sleeps as it is told and wakes up late. */
function sent(limit: RateLimit, micros: number, channels: number, frame: number, lateMicros = 0): number {
  // Every one over the same memory, as on threads.
  const buckets = Array.from({ length: channels }, () => new RateLimit(limit.buffer));
  const dueAt = buckets.map(() => 0);
  let bytes = 0;
  for (let now = 0; now < micros; now = Math.min(...dueAt)) {
    buckets.forEach((bucket, i) => {
      if (dueAt[i]! > now) return;
      const wait = bucket.waitMicros(now);
      if (wait > 0) {
        dueAt[i] = now + wait + lateMicros;
        return;
      }
      bucket.charge(frame, now);
      bytes += frame;
      dueAt[i] = now + 1;
    });
  }
  return bytes;
}

it('does not hold back anybody without a limit', () => {
  const limit = new RateLimit();
  limit.charge(1 << 30, 0);
  expect([limit.bytesPerSecond, limit.waitMicros(0), limit.framePages(64)]).toEqual([undefined, 0, 64]);
});

describe('with a limit', () => {
  it('holds nobody back while it is lifted, and keeps what is set meanwhile', () => {
    const limit = limited(1_000_000);
    limit.charge(1 << 20, 0);
    limit.lift();
    limit.set(2_000_000, 1000);
    limit.charge(1 << 30, 2000);
    expect([limit.bytesPerSecond, limit.waitMicros(2000), limit.framePages(64)]).toEqual([2_000_000, 0, 64]);
    limit.restore(3000);
    expect(limit.waitMicros(3000)).toBe(0);
    limit.charge(4000, 3000);
    expect(limit.waitMicros(3000)).toBe(2000);
  });

  it('a frame puts the next one off by what it takes', () => {
    const limit = limited(1_000_000, 5000);
    expect([limit.bytesPerSecond, limit.waitMicros(5000)]).toEqual([1_000_000, 0]);
    limit.charge(4000, 5000);
    expect([5000, 8999, 9000, 9001].map((now) => limit.waitMicros(now))).toEqual([4000, 1, 0, 0]);
    // Its time is over by 500 us, which the next one has more.
    limit.charge(1000, 9500);
    expect(limit.waitMicros(9500)).toBe(500);
  });

  it.each([
    [1, 0],
    [4, 0],
    [16, 0],
    [1, 3000],
    [4, 3000],
    [16, 7000],
  ])('%d channels that wake up %d us late send together what it allows', (channels, lateMicros) => {
    for (const rate of [1 << 20, 100_000_000, 1 << 30]) {
      const bytes = sent(limited(rate), SECOND, channels, 4 * 4096, lateMicros);
      expect(bytes).toBeGreaterThan(rate * 0.98);
      expect(bytes).toBeLessThan(rate * 1.02 + channels * 4 * 4096);
    }
  });

  it('who has sent nothing for long has not saved it up', () => {
    const rate = 100_000_000;
    const limit = limited(rate);
    const hour = 3600 * SECOND;
    let bytes = 0;
    for (; limit.waitMicros(hour) === 0; bytes += 4096) limit.charge(4096, hour);
    expect(bytes).toBeGreaterThan((rate * CREDIT_MICROS) / SECOND - 4096);
    expect(bytes).toBeLessThan((rate * CREDIT_MICROS) / SECOND + 2 * 4096);
  });

  it('is asked again now and then, however long a frame takes', () => {
    const limit = limited(65_536);
    limit.charge(1 << 20, 0);
    expect(limit.waitMicros(0)).toBe(LONGEST_WAIT_MICROS);
    expect(limit.waitMicros(16 * SECOND - 1000)).toBe(1000);
  });

  it('frames are short where they take long, and of one page at least', () => {
    const pages = (rate: number) => limited(rate).framePages(64);
    expect([65_536, 40_000_000, 100_000_000, 1_000_000_000, 10_000_000_000].map(pages)).toEqual([1, 1, 3, 36, 64]);
    expect(limited(10_000_000_000).framePages(4)).toBe(4);
  });
});

describe('a change', () => {
  it.each([undefined, 1 << 30])('to %s holds at once, also for who waits', (rate) => {
    const limit = limited(65_536);
    const other = new RateLimit(limit.buffer);
    other.charge(1 << 20, 0);
    limit.set(rate, 1000);
    expect([other.bytesPerSecond, other.waitMicros(1000)]).toEqual([rate, 0]);
  });

  it('to less does not make up for what was sent before', () => {
    const limit = limited(undefined);
    limit.charge(1 << 30, 0);
    limit.set(1_000_000, 10);
    expect(limit.waitMicros(10)).toBe(0);
    limit.charge(1000, 10);
    expect(limit.waitMicros(10)).toBe(1000);
  });

  it('between a charge and its entry is reckoned with', () => {
    const limit = limited(65_536);
    const other = new RateLimit(limit.buffer);
    // Another thread sets it while this one computes.
    const now = { valueOf: () => (limit.set(1_000_000, 100), 100) } as unknown as number;
    other.charge(1000, now);
    expect(other.waitMicros(100)).toBeLessThanOrEqual(1000);
  });
});
