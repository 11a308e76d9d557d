import { describe, expect, it } from 'vitest';
import { DestinationPages, SourcePages } from '../../../src/memory/page-states.js';
import { next, startWorker } from '../../native/threads.js';

const PAGES = 100_000;

describe('pages of a source', () => {
  it('are claimed once, one by one or in runs, and only if they hold data', () => {
    const pages = new SourcePages(1000);
    pages.offer(10, 5);
    pages.offer(900, 100);
    expect([pages.claim(9), pages.claim(12), pages.claim(12)]).toEqual([false, true, false]);
    expect([pages.isUnsent(11), pages.isUnsent(12), pages.nextUnsent(0), pages.nextUnsent(12)]).toEqual([
      ...[true, false, 10, 13],
    ]);
    expect([pages.claimRun(10, 64), pages.claimRun(13, 1), pages.claimRun(12, 1)]).toEqual([2, 1, 0]);
    expect([pages.claimRun(14, 64), pages.claimRun(990, 64), pages.claimRun(900, 64)]).toEqual([1, 10, 64]);
    expect(pages.nextUnsent(0)).toBe(964);
    expect([pages.claimRun(964, 64), pages.nextUnsent(0)]).toEqual([26, -1]);
  });

  it('are held until they are acknowledged, all of them', () => {
    const pages = new SourcePages(1000);
    expect(pages.allAcknowledged).toBe(true);
    pages.offer(31, 3);
    pages.claimRun(31, 3);
    expect(pages.allAcknowledged).toBe(false);
    pages.acknowledged(32, 2);
    expect(pages.allAcknowledged).toBe(false);
    pages.acknowledged(31, 1);
    expect(pages.allAcknowledged).toBe(true);
  });

  it.each([
    ['was acknowledged before', 32, 1],
    ['holds nothing', 33, 1],
    ['is among others that are right', 31, 2],
  ])('are not acknowledged if one %s: that would give back what the destination lacks', (_, first, count) => {
    const pages = new SourcePages(1000);
    pages.offer(31, 2);
    pages.claimRun(31, 2);
    pages.acknowledged(32, 1);
    expect(() => pages.acknowledged(first, count)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });

  it('are the same for whoever has their maps', () => {
    const pages = new SourcePages(100);
    const elsewhere = new SourcePages(100, pages.maps);
    pages.offer(5, 2);
    expect([elsewhere.claim(5), pages.claim(5), pages.claim(6)]).toEqual([true, false, true]);
    elsewhere.acknowledged(5, 2);
    expect(pages.allAcknowledged).toBe(true);
  });

  it('are copied before they are offered, as often as is needed, and what is left of that is taken back', () => {
    const pages = new SourcePages(100);
    pages.copy(Uint32Array.of(10, 5));
    expect([pages.claimRun(10, 3), pages.allAcknowledged]).toEqual([3, true]);
    pages.copy(Uint32Array.of(10, 1));
    expect([...pages.uncopied().extents()]).toEqual([10, 1, 13, 2]);
    expect([...pages.takeUncopied().extents()]).toEqual([10, 1, 13, 2]);
    expect([pages.nextUnsent(0), pages.uncopied().count]).toEqual([-1, 0]);
  });

  it('that the destination has as they are need not be claimed, only acknowledged', () => {
    const pages = new SourcePages(100);
    pages.hold(10, 5);
    expect([pages.claim(10), pages.allAcknowledged]).toEqual([false, false]);
    pages.acknowledged(10, 5);
    expect(pages.allAcknowledged).toBe(true);
  });
});

describe('pages of a destination', () => {
  it('are missing from when they are expected until they are installed, and counted until they are settled', () => {
    const pages = new DestinationPages(100);
    pages.expect(3, 4);
    pages.expect(50, 1);
    expect([pages.isMissing(2), pages.isMissing(3), pages.left]).toEqual([false, true, 5]);
    pages.installed(3, 4);
    expect([pages.isMissing(3), pages.isMissing(6), pages.left]).toEqual([false, false, 5]);
    expect([pages.settled(4), pages.left]).toEqual([false, 1]);
    pages.installed(50, 1);
    expect([pages.settled(1), pages.left]).toEqual([true, 0]);
  });

  it('are asked for once', () => {
    const pages = new DestinationPages(100);
    pages.expect(0, 100);
    expect([pages.ask(7), pages.ask(7), pages.ask(8)]).toEqual([true, false, true]);
    expect(pages.isMissing(7)).toBe(true);
  });

  it('are the same for whoever has their maps', () => {
    const pages = new DestinationPages(100);
    const elsewhere = new DestinationPages(100, pages.maps);
    pages.expect(7, 2);
    expect([elsewhere.isMissing(7), elsewhere.left, elsewhere.ask(7), pages.ask(7)]).toEqual([true, 2, true, false]);
    elsewhere.installed(7, 2);
    expect([pages.isMissing(8), elsewhere.settled(2), pages.left]).toEqual([false, true, 0]);
  });
});

/** Claims what it can of all pages, in runs, and settles as many. */
const CLAIM_ALL = `
  const claimed = new Int32Array(data.claimed);
  const [words, left] = [new Int32Array(data.unsent), new Int32Array(data.left)];
  post('ready');
  Atomics.wait(new Int32Array(data.go), 0, 0);
  let [count, isLast] = [0, false];
  for (let page = 0; page < ${PAGES}; page++) {
    const bit = 1 << (page & 31);
    if ((Atomics.and(words, page >>> 5, ~bit) & bit) === 0) continue;
    Atomics.add(claimed, page, 1);
    isLast = Atomics.sub(left, 0, 1) === 1;
    count++;
  }
  post([count, isLast]);
`;

it('threads that claim at the same time get every page once, and one of them the last', async () => {
  const source = new SourcePages(PAGES);
  const destination = new DestinationPages(PAGES);
  source.offer(0, PAGES);
  destination.expect(0, PAGES);
  const [claimed, go] = [new SharedArrayBuffer(PAGES * 4), new SharedArrayBuffer(4)];
  const data = { claimed, go, unsent: source.maps.unsent, left: destination.maps.left };
  const workers = [1, 2].map(() => startWorker(CLAIM_ALL, data));
  expect(await Promise.all(workers.map(next))).toEqual(['ready', 'ready']);
  const ends = workers.map((worker) => next(worker) as Promise<[number, boolean]>);
  Atomics.store(new Int32Array(go), 0, 1);
  Atomics.notify(new Int32Array(go), 0);
  let [count, last] = [0, 0];
  const times = new Int32Array(claimed);
  for (let first = source.nextUnsent(0); first >= 0; first = source.nextUnsent(first)) {
    const run = source.claimRun(first, 64);
    for (let page = first; page < first + run; page++) Atomics.add(times, page, 1);
    count += run;
    if (run > 0 && destination.settled(run)) last++;
  }
  for (const [theirs, isLast] of await Promise.all(ends)) {
    count += theirs;
    last += isLast ? 1 : 0;
  }
  expect([count, last, destination.left, times.every((time) => time === 1)]).toEqual([PAGES, 1, 0, true]);
});
