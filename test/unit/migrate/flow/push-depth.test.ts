import { describe, expect, it } from 'vitest';
import { PushDepth } from '../../../../src/migrate/flow/push-depth.js';

/** How many pages more, one at a time, until it is no longer open. */
function roomOf(depth: PushDepth, now: number): number {
  let pages = 0;
  for (; depth.open; pages++) depth.sent(1, now);
  return pages;
}

/** So many round trips of 1000 us, each of 1000 pages. */
function afterRounds(rounds: number): PushDepth {
  const depth = new PushDepth();
  for (let round = 0; round < rounds; round++) {
    depth.sent(1000, round * 1000);
    depth.acknowledged((round + 1) * 1000, (round + 1) * 1000);
  }
  return depth;
}

interface Link {
  /** Pages a microsecond. */
  rate: number;
  /** Both ways together, without the time the pages themselves take. */
  micros: number;
  /** Acknowledgements come together, once in so many microseconds. */
  burstMicros?: number;
  /** The destination works for so long at a time, and then not for up to four times as long. */
  busyMicros?: number;
}

/** When what comes at `at` has been worked on. Its pauses are those of a fixed sequence. */
function workOf(busyMicros: number): (at: number) => number {
  let [random, from, until] = [1, 0, busyMicros];
  return (at) => {
    while (at >= until) {
      random = (random * 16_807) % 2_147_483_647;
      from = until + (random / 2_147_483_647) * 4 * busyMicros;
      until = from + busyMicros;
    }
    return Math.max(at, from);
  };
}

/** Pushes `total` pages over a link; of the second half: the most and the median in flight, the longest and shortest extent. */
function push(depth: PushDepth, { rate, micros, burstMicros = 1, busyMicros = 0 }: Link, total: number) {
  const worked = busyMicros > 0 ? workOf(busyMicros) : (at: number) => at;
  const acknowledgements: { pages: number; at: number }[] = [];
  let [now, sent, received, linkFree, most, longest, shortest] = [0, 0, 0, 0, 0, 0, Infinity];
  let halfAt = 0;
  const inFlight: number[] = [];
  while (received < total) {
    while (depth.open && sent < total) {
      const pages = Math.min(depth.extentPages, total - sent);
      depth.sent(pages, now);
      sent += pages;
      linkFree = Math.max(linkFree, now) + pages / rate;
      acknowledgements.push({ pages, at: worked(Math.ceil((linkFree + micros) / burstMicros) * burstMicros) });
      if (sent < total / 2 || sent === total) continue;
      most = Math.max(most, sent - received);
      inFlight.push(sent - received);
      [longest, shortest] = [Math.max(longest, pages), Math.min(shortest, pages)];
    }
    const next = acknowledgements.shift();
    if (next === undefined) throw new Error('nothing is in flight, and nothing may be sent');
    now = next.at;
    received += next.pages;
    depth.acknowledged(received, now);
    if (halfAt === 0 && received >= total / 2) halfAt = now;
  }
  const usual = inFlight.sort((a, b) => a - b)[inFlight.length >> 1]!;
  return { most, usual, longest, shortest, rate: total / 2 / (now - halfAt) };
}

describe('PushDepth', () => {
  it('begins with three extents of four pages', () => {
    const depth = new PushDepth();
    const seen = [1, 2, 3].map(() => {
      const before = [depth.open, depth.extentPages];
      depth.sent(4, 0);
      return before;
    });
    expect(seen).toEqual([1, 2, 3].map(() => [true, 4]));
    expect(depth.open).toBe(false);
    depth.acknowledged(1, 100);
    expect(depth.open).toBe(true);
  });

  it('learns nothing from an extent that has come in part', () => {
    const depth = new PushDepth();
    depth.sent(12, 0);
    depth.acknowledged(11, 1);
    expect([depth.extentPages, roomOf(depth, 1)]).toEqual([4, 11]);
  });

  it.each([
    [12, 40, 45],
    [12, 1800, 4],
    [4, 10, 60],
    [4, 9, 64],
    [1000, 1, 64],
  ])('after %d pages in %d us, makes extents of %d', (pages, micros, extent) => {
    const depth = new PushDepth();
    depth.sent(pages, 500);
    depth.acknowledged(pages, 500 + micros);
    expect(depth.extentPages).toBe(extent);
  });

  it.each([
    [1, 2000],
    [2, 2000],
    [3, 2000],
    [4, 1250],
    [8, 1250],
    // One of eight looks whether there is more to be had.
    [9, 2000],
    [10, 1250],
  ])('after %d round trips, keeps %d pages in flight where 1000 are the product', (rounds, pages) => {
    expect(roomOf(afterRounds(rounds), rounds * 1000)).toBe(pages);
  });

  it('goes on growing while the rate does', () => {
    const depth = new PushDepth();
    let [sent, now] = [0, 0];
    for (let pages = 1000; pages < 10_000; pages *= 1.25) {
      depth.sent(Math.ceil(pages), now);
      sent += Math.ceil(pages);
      depth.acknowledged(sent, (now += 1000));
    }
    const rate = Math.ceil(1000 * 1.25 ** 10);
    expect(roomOf(depth, now)).toBe(Math.min(4096, 2 * rate));
  });

  it('takes an acknowledgement at the time of sending for one after a microsecond', () => {
    const depth = new PushDepth();
    depth.sent(4, 7);
    depth.acknowledged(4, 7);
    expect([depth.extentPages, roomOf(depth, 7)]).toEqual([64, 192]);
  });

  it.each([
    [0.5, 1000],
    [0.5, 200],
    [1, 500],
    [0.1, 5000],
  ])('fills a link of %d pages/us and %d us with little more than its product', (rate, micros) => {
    const got = push(new PushDepth(), { rate, micros }, 100_000);
    expect(got.rate).toBeGreaterThan(rate * 0.95);
    const product = rate * (micros + 4 / rate);
    expect(got.most).toBeGreaterThan(product);
    const least = 3 * got.longest;
    expect(got.usual).toBeLessThanOrEqual(Math.max(least, 1.3 * product) + got.longest);
    expect(got.most).toBeLessThanOrEqual(2.1 * Math.max(least, product) + got.longest);
  });

  it('is not misled by acknowledgements that come in bursts', () => {
    const [rate, micros] = [0.5, 1000];
    const got = push(new PushDepth(), { rate, micros, burstMicros: 400 }, 100_000);
    expect(got.rate).toBeGreaterThan(rate * 0.8);
    // One burst more is in flight: it waits to be acknowledged.
    expect(got.usual).toBeLessThanOrEqual(1.3 * 1.25 * rate * (micros + 400) + 64);
    expect(got.most).toBeLessThanOrEqual(1.3 * 2 * rate * (micros + 400) + 64);
  });

  it('keeps a link busy whose round trips are usually many times the shortest', () => {
    // Like two emulated hosts with one CPU each: a round trip of 1 ms, and one of 10 ms most of the time.
    const link = { rate: 0.004, micros: 1000, busyMicros: 5000 };
    const got = push(new PushDepth(), link, 20_000);
    // Three extents of four pages in flight: half as much.
    expect(got.rate).toBeGreaterThan(0.6 * link.rate);
    expect(got.usual).toBeGreaterThan(24);
    expect(got.usual).toBeLessThanOrEqual(96);
  });

  it('keeps extents small on a slow link', () => {
    // 100 Mbit/s.
    const got = push(new PushDepth(), { rate: 0.003, micros: 300 }, 2000);
    expect([got.longest, got.shortest, got.usual]).toEqual([4, 4, 12]);
    // Now and then it looks whether more in flight would move more.
    expect(got.most).toBe(24);
    expect(got.rate).toBeGreaterThan(0.0029);
  });

  it('never keeps less than three extents in flight, however slow', () => {
    const depth = new PushDepth();
    // Its first page takes a second: the rate is next to nothing, the product one page.
    depth.sent(1, 0);
    depth.acknowledged(1, 1e6);
    expect([depth.extentPages, roomOf(depth, 1e6)]).toEqual([4, 12]);
  });

  it('forgets a rate that is 64 extents old', () => {
    const depth = new PushDepth();
    depth.sent(64, 0);
    depth.acknowledged(64, 64);
    const seen: number[] = [];
    for (let i = 1; i <= 64; i++) {
      depth.sent(4, i * 1000);
      depth.acknowledged(64 + i * 4, i * 1000 + 100);
      seen.push(depth.extentPages);
    }
    expect(seen).toEqual([...Array.from({ length: 63 }, () => 64), 6]);
  });

  it('is not open with 4096 extents in flight, however short', () => {
    const depth = new PushDepth();
    depth.sent(10_000, 0);
    depth.acknowledged(10_000, 1000);
    expect(roomOf(depth, 1000)).toBe(4096);
    depth.acknowledged(10_001, 2000);
    expect(roomOf(depth, 2000)).toBe(1);
    // And again round the ring.
    depth.acknowledged(10_000 + 4097, 3000);
    expect(roomOf(depth, 3000)).toBe(4096);
  });
});
