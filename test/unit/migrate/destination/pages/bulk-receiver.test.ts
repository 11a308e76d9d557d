import { afterEach, describe, expect, it, vi } from 'vitest';
import { BulkReceiver } from '../../../../../src/migrate/destination/pages/bulk-receiver.js';
import { GoSignal } from '../../../../../src/threads/go-signal.js';
import { native, POLLIN } from '../../../../../src/native.js';
import { channelPair, contentOf, cutsNear, words, type OtherEnd } from '../../../threads/channel-pair.js';
import { waitsOf } from '../../../threads/waits-of.js';
import { fakeDestination, type Destination } from './fake-userfaultfd.js';

const PAGE = 4096;
const PAGES = 256;
const HEADER = 16;
const [EXTENT, ZERO, END, RECEIVED, PAGE_TAG, REQUEST] = ['PXTT', 'ZERO', 'PEND', 'PRCV', 'PAGE', 'PREQ'].map((tag) =>
  Buffer.from(tag).readUInt32LE(),
) as [number, number, number, number, number, number];

const contents = (first: number, count: number) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => contentOf(first + i)));
const extent = (first: number, count: number) =>
  Buffer.concat([words(EXTENT, first, count, 0), contents(first, count)]);
const LOST = Buffer.from('PLST').readUInt32LE();
const zero = (first: number, count: number) => Buffer.from(words(ZERO, first, count, 0));
const end = () => Buffer.from(words(END, 0, 0, 0));
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
const linkLost = expect.objectContaining({ code: 'LINK_LOST' });

interface Setting extends Destination {
  receiver: BulkReceiver;
  other: OtherEnd;
  signal: GoSignal;
  /** Steps until there is nothing more to do. */
  drain(): void;
  /** Sends and drains. */
  feed(bytes: Uint8Array): void;
  /** Counts of the RECEIVED frames that have come back. */
  acknowledged(): number[];
}

function setUp(): Setting {
  const destination = fakeDestination(PAGES);
  const { socket, other } = channelPair();
  const signal = new GoSignal();
  signal.handOver();
  const receiver = new BulkReceiver(socket, destination.installer, signal);
  const drain = () => {
    while (receiver.step());
  };
  const acknowledged = () => {
    const got = other.takeWords();
    expect(got.length % 4).toBe(0);
    return Array.from({ length: got.length / 4 }, (_, i) => {
      expect([got[i * 4], got[i * 4 + 1]]).toEqual([RECEIVED, 0]);
      return got[i * 4 + 2]! + got[i * 4 + 3]! * 2 ** 32;
    });
  };
  const feed = (bytes: Uint8Array) => other.putAll(bytes, drain);
  return { ...destination, receiver, other, signal, drain, feed, acknowledged };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('BulkReceiver', () => {
  it('marks pages as lost that the source has lost, and settles them', () => {
    const { feed, expectPages, acknowledged, missing, left, reports, userfaultfd, counters } = setUp();
    expectPages(4, 4);
    feed(Buffer.concat([words(LOST, 5, 2, 0), extent(4, 1)]));
    expect(userfaultfd.calls.filter(([name]) => name === 'poison')).toEqual([
      ['poison', 5, 1],
      ['poison', 6, 1],
    ]);
    expect([acknowledged().at(-1), missing.next(0), left[0], counters.get('installed')]).toEqual([3, 7, 1, 3]);
    expect(reports).toEqual(['page 5 is lost', 'page 6 is lost']);
    expect(() => feed(words(LOST, 5, 1, 0))).toThrow(badPeer);
    expect(() => feed(words(LOST, 7, 0, 0))).toThrow(badPeer);
  });

  it('installs pages, and tells how many there are at the end of each extent', () => {
    const { userfaultfd, expectPages, missing, left, reports, counters, feed, acknowledged } = setUp();
    expectPages(10, 3);
    expectPages(20, 1);
    feed(extent(10, 3));
    expect(Buffer.compare(userfaultfd.ram.subarray(10 * PAGE, 13 * PAGE), contents(10, 3))).toBe(0);
    expect([missing.next(0), left[0], reports, acknowledged()]).toEqual([20, 1, [], [3]]);
    feed(extent(20, 1));
    expect(Buffer.compare(userfaultfd.content(20), contentOf(20))).toBe(0);
    expect([missing.next(0), left[0], reports, acknowledged()]).toEqual([-1, 0, ['all-installed'], [4]]);
    expect(counters.get('installed')).toBe(4);
  });

  it('takes the longest extent there is, and the frame that follows it at once', () => {
    const { userfaultfd, expectPages, feed, acknowledged } = setUp();
    expectPages(0, 192);
    feed(Buffer.concat([extent(128, 64), extent(0, 64), extent(64, 64), end()]));
    expect(Buffer.compare(userfaultfd.ram.subarray(0, 192 * PAGE), contents(0, 192))).toBe(0);
    expect(acknowledged()).toEqual([64, 128, 192]);
  });

  it('receives all the pages that are there at once, and installs no more than 128 KiB in one step', () => {
    const { receiver, userfaultfd, expectPages, other } = setUp();
    expectPages(0, 64);
    other.put(extent(0, 64).subarray(0, HEADER + 40 * PAGE));
    expect(receiver.step()).toBe(true);
    expect(userfaultfd.present.size).toBe(0);
    const installed: number[] = [];
    while (receiver.step()) installed.push(userfaultfd.present.size);
    // The header alone told how much there is to receive.
    expect(installed).toEqual([0, 32, 40]);
    expect(userfaultfd.calls).toEqual([
      ['copy', 0, 32],
      ['copy', 32, 8],
    ]);
  });

  it('waits with a page for which the host has no memory, and goes on with it when there is some', () => {
    const { receiver, userfaultfd, expectPages, feed, reports, acknowledged, drain, missing } = setUp();
    expectPages(10, 4);
    userfaultfd.room = 1;
    feed(Buffer.concat([extent(10, 3), extent(13, 1)]));
    expect([missing.next(0), acknowledged(), receiver.triesAgain]).toEqual([11, [], true]);
    expect(new Set(reports)).toEqual(new Set(['memory-short']));
    const set = { add: vi.fn() };
    receiver.sources(set as never);
    expect(set.add).not.toHaveBeenCalled(); // what comes would wake it in vain
    expect(receiver.step()).toBe(false);
    userfaultfd.room = Infinity;
    drain();
    expect([missing.next(0), acknowledged(), receiver.triesAgain]).toEqual([-1, [4], false]);
    expect(Buffer.compare(userfaultfd.ram.subarray(10 * PAGE, 14 * PAGE), contents(10, 4))).toBe(0);
  });

  it('tells once of many short extents that have come together, and at once of what there is', () => {
    const { receiver, expectPages, other, acknowledged, userfaultfd } = setUp();
    const pages = Array.from({ length: 10 }, (_, i) => 2 * i);
    for (const page of pages) expectPages(page, 1);
    expectPages(100, 2);
    const frames = pages.map((page) => extent(page, 1));
    other.put(Buffer.concat([...frames, zero(100, 1), extent(101, 1).subarray(0, HEADER + 5)]));
    while (receiver.step());
    // The first came with its header alone.
    expect([userfaultfd.present.size, acknowledged()]).toEqual([10, [11]]);
    expect(userfaultfd.calls).toHaveLength(11);
    other.put(extent(101, 1).subarray(HEADER + 5));
    while (receiver.step());
    expect(acknowledged()).toEqual([12]);
  });

  it('installs nothing for pages of zeroes: they are not missing any more, then who waits is woken', () => {
    const { userfaultfd, expectPages, missing, pending, waits, reports, feed, acknowledged } = setUp();
    expectPages(7, 64);
    pending.add(9, native.monotonicMicros());
    const seen: [string, boolean][] = [];
    userfaultfd.onCall = (name) => seen.push([name, missing.has(9)]);
    feed(zero(7, 64));
    expect([userfaultfd.calls, seen]).toEqual([[['wake', 7, 64]], [['wake', false]]]);
    expect([missing.next(0), pending.waiting, waits.count, reports]).toEqual([-1, 0, 1, ['all-installed']]);
    expect(acknowledged()).toEqual([64]);
  });

  it('says nothing about the end, and has nothing to do after it', () => {
    const { receiver, userfaultfd, other, acknowledged } = setUp();
    other.put(end());
    expect([receiver.step(), receiver.step()]).toEqual([true, false]);
    receiver.idle();
    expect([userfaultfd.calls, acknowledged()]).toEqual([[], []]);
  });

  it('waits for bytes, nothing else', () => {
    const { receiver } = setUp();
    expect(waitsOf(receiver)).toEqual([[receiver.socket.fd, POLLIN]]);
    expect(receiver.step()).toBe(false);
  });
});

describe('a stream cut anywhere', () => {
  /** Two extents, two of zeroes, an end: 24 page numbers in no order. */
  const frames = [extent(3, 2), zero(8, 5), extent(200, 1), zero(255, 1), end()];
  const stream = Buffer.concat(frames);
  const ranges: [first: number, count: number][] = [
    [3, 2],
    [8, 5],
    [200, 1],
    [255, 1],
  ];
  /** Bytes of the stream after which so many pages are there, and so many acknowledged. */
  const due = (() => {
    const marks = { pages: [] as number[], frames: [] as [bytes: number, count: number][] };
    let [at, count] = [0, 0];
    for (const [i, frame] of frames.slice(0, -1).entries()) {
      for (let page = 0; page < ranges[i]![1]; page++) {
        const isZero = frame.length === HEADER;
        marks.pages.push(at + HEADER + (isZero ? 0 : (page + 1) * PAGE));
      }
      at += frame.length;
      count += ranges[i]![1];
      marks.frames.push([at, count]);
    }
    return marks;
  })();

  /** Not of each: of those that came together only the last is told. */
  const isTold = (acknowledged: number[], all: number[]) =>
    acknowledged.at(-1) === all.at(-1) && acknowledged.every((count, i) => all.includes(count, i));

  it('in two', () => {
    const setting = setUp();
    const { userfaultfd, counters, missing } = setting;
    // One receiver takes it again and again: without the end, after which nothing may come.
    const endless = stream.subarray(0, -HEADER);
    const marks = [0, ...due.pages, ...due.frames.map(([bytes]) => bytes)];
    for (const cut of cutsNear(marks, endless.length)) {
      const before = counters.get('installed');
      for (const range of ranges) setting.expectPages(...range);
      setting.feed(endless.subarray(0, cut));
      const there = due.pages.filter((bytes) => bytes <= cut).length;
      if (counters.get('installed') - before !== there) throw new Error(`cut at ${cut}: not ${there} pages`);
      const told = due.frames.filter(([bytes]) => bytes <= cut).map(([, count]) => before + count);
      if (!isTold(setting.acknowledged(), told)) throw new Error(`cut at ${cut}: wrong counts before`);
      setting.feed(endless.subarray(cut));
      const later = due.frames.filter(([bytes]) => bytes > cut).map(([, count]) => before + count);
      if (!isTold(setting.acknowledged(), later)) throw new Error(`cut at ${cut}: wrong counts behind`);
      if (missing.next(0) !== -1) throw new Error(`cut at ${cut}: page ${missing.next(0)} is missing`);
      for (const page of [3, 4, 200]) {
        if (Buffer.compare(userfaultfd.content(page), contentOf(page)) !== 0) throw new Error(`cut at ${cut}: damaged`);
      }
      expect(userfaultfd.present).toEqual(new Set([3, 4, 200]));
      userfaultfd.release();
    }
    for (let cut = 0; cut <= HEADER; cut++) {
      const { feed, acknowledged } = setUp();
      feed(end().subarray(0, cut));
      feed(end().subarray(cut));
      expect(acknowledged()).toEqual([]);
    }
  });

  it.each([1, 15, 17, 4095, 4097, 5000])('in pieces of %d bytes', (size) => {
    const setting = setUp();
    for (const range of ranges) setting.expectPages(...range);
    for (let at = 0; at < stream.length; at += size) setting.feed(stream.subarray(at, at + size));
    expect(setting.acknowledged()).toSatisfy((counts: number[]) => isTold(counts, [2, 7, 8, 9]));
    expect([3, 4, 200].every((page) => setting.userfaultfd.content(page).equals(contentOf(page)))).toBe(true);
    expect(setting.missing.next(0)).toBe(-1);
  });
});

describe('a source that breaks the protocol', () => {
  it.each([
    ['a page frame', PAGE_TAG],
    ['a request', REQUEST],
    ['an acknowledgement', RECEIVED],
    ['nothing', 0],
    ['one bit off an extent', EXTENT ^ 0x80000000],
    ['one bit off the end', END ^ 1],
  ])('by %s', (_, tag) => {
    const { expectPages, feed, userfaultfd, acknowledged } = setUp();
    expectPages(0, PAGES);
    expect(() => feed(words(tag, 0, 1, 0))).toThrow(badPeer);
    expect([userfaultfd.calls, acknowledged()]).toEqual([[], []]);
  });

  it.each<[string, Buffer]>([
    ['pages', extent(5, 1)],
    ['pages of zeroes', zero(5, 1)],
    ['its end', end()],
    ['no frame', Buffer.alloc(HEADER)],
  ])('with %s after its end, at once or later', (_, more) => {
    for (const pieces of [[Buffer.concat([end(), more])], [end(), more]]) {
      const { expectPages, missing, userfaultfd, feed, acknowledged } = setUp();
      expectPages(5, 1);
      const feedAll = () => pieces.forEach((piece) => feed(piece));
      expect(feedAll).toThrow(badPeer);
      expect([userfaultfd.calls, missing.has(5), acknowledged()]).toEqual([[], true, []]);
    }
  });

  it.each([0, 65, 0x1_0000, 0xffff_ffff])('by %d pages', (count) => {
    for (const tag of [EXTENT, ZERO]) {
      const { expectPages, feed, userfaultfd, left } = setUp();
      expectPages(0, PAGES);
      expect(() => feed(words(tag, 0, count, 0))).toThrow(badPeer);
      expect([userfaultfd.calls, left[0]]).toEqual([[], PAGES]);
    }
  });

  it.each([
    ['beyond the end', PAGES, 1],
    ['across the end', PAGES - 1, 2],
    ['at the last number there is', 0xffff_ffff, 64],
    ['that hold nothing', 100, 1],
    ['of which the first holds nothing', 19, 3],
    ['of which the last holds nothing', 58, 3],
  ])('by pages %s', (_, first, count) => {
    for (const tag of [EXTENT, ZERO]) {
      const { expectPages, feed, userfaultfd, missing, left, acknowledged } = setUp();
      expectPages(20, 40);
      expectPages(PAGES - 1, 1);
      expect(() => feed(words(tag, first, count, 0))).toThrow(badPeer);
      expect([userfaultfd.calls, left[0], missing.next(0), acknowledged()]).toEqual([[], 41, 20, []]);
    }
  });

  it.each([
    ['sent', extent(5, 1), extent(5, 1)],
    ['sent, then told to be zero', extent(5, 1), zero(5, 1)],
    ['told to be zero', zero(5, 1), zero(5, 1)],
    ['told to be zero, then sent', zero(5, 1), extent(4, 2)],
  ])('by a page that was %s, twice', (_, once, again) => {
    const { expectPages, feed, left, userfaultfd } = setUp();
    expectPages(4, 4);
    feed(once);
    const calls = userfaultfd.calls.length;
    expect(() => feed(again)).toThrow(badPeer);
    expect([left[0], userfaultfd.calls.length]).toEqual([3, calls]);
  });
});

describe('a source that falls silent', () => {
  let now = 0;
  const pass = (ms: number) => (now += ms * 1000);
  const atFixedTimes = () => {
    now = 1e9;
    vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
    return setUp();
  };

  it.each([
    ['in the middle of a header', 5],
    ['behind a header', HEADER],
    ['in the middle of a page', HEADER + PAGE + 100],
    ['between two pages', HEADER + PAGE],
  ])('%s is lost after 30 s', (_, bytes) => {
    const { receiver, expectPages, feed } = atFixedTimes();
    expectPages(0, 2);
    pass(60_000);
    receiver.idle();
    feed(extent(0, 2).subarray(0, bytes));
    pass(30_000);
    receiver.idle();
    pass(1);
    expect(() => receiver.idle()).toThrow(linkLost);
  });

  it('between two frames is none', () => {
    const { receiver, expectPages, feed } = atFixedTimes();
    expectPages(0, 2);
    for (const frame of [extent(0, 1), zero(1, 1), end()]) {
      feed(frame);
      pass(3_600_000);
      receiver.idle();
    }
  });

  it('is not lost as long as a byte comes now and then', () => {
    const { receiver, expectPages, feed } = atFixedTimes();
    expectPages(0, 1);
    for (const byte of extent(0, 1).subarray(0, 40)) {
      feed(Uint8Array.of(byte));
      pass(4999);
      receiver.idle();
    }
  });
});

describe('a channel that is closed', () => {
  it.each([0, 3, HEADER, HEADER + 100, HEADER + PAGE])('by the source after %d bytes is a lost link', (bytes) => {
    const { receiver, expectPages, feed, other, userfaultfd } = setUp();
    expectPages(0, 2);
    feed(extent(0, 2).subarray(0, bytes));
    other.close();
    expect(() => receiver.step()).toThrow(linkLost);
    expect(userfaultfd.present.size).toBe(bytes < HEADER + PAGE ? 0 : 1);
  });

  it('by ourselves is the end', () => {
    const { receiver, signal, feed } = setUp();
    feed(end());
    signal.stop();
    receiver.socket.shutdown();
    expect(receiver.step()).toBe(false);
  });
});
