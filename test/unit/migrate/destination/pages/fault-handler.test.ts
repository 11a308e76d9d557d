import { afterEach, describe, expect, it, vi } from 'vitest';
import { FaultHandler } from '../../../../../src/migrate/destination/pages/fault-handler.js';
import { UrgentSupply } from '../../../../../src/migrate/destination/pages/urgent-supply.js';
import { GoSignal } from '../../../../../src/threads/go-signal.js';
import { native, POLLIN, type Socket } from '../../../../../src/native.js';
import { channelPair, contentOf, cutsNear, words, type OtherEnd } from '../../../threads/channel-pair.js';
import { waitsOf } from '../../../threads/waits-of.js';
import { fakeDestination, type Destination } from './fake-userfaultfd.js';

const PAGES = 1024;
const FAULT_FD = 77;
const REQUEST = 0x51455250;
const PAGE_TAG = 0x45474150;
const FRAME = 4104;

const frame = (page: number, tag = PAGE_TAG) => Buffer.concat([words(tag, page), contentOf(page)]);
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
const linkLost = expect.objectContaining({ code: 'LINK_LOST' });

interface Setting extends Destination {
  handler: FaultHandler;
  socket: Socket;
  other: OtherEnd;
  signal: GoSignal;
  /** Threads touch these pages. */
  touch(...pages: number[]): void;
  feed(bytes: Uint8Array): void;
  /** REQUEST frames that have come: pages received, then the pages asked for. */
  requests(): number[][];
}

function setUp(fd = FAULT_FD): Setting {
  const destination = fakeDestination(PAGES, fd);
  const { socket, other } = channelPair();
  const signal = new GoSignal();
  const supply = new UrgentSupply(socket, destination.installer, signal);
  const handler = new FaultHandler(destination.parts, supply, signal);
  const drain = () => {
    while (handler.step());
  };
  const touch = (...pages: number[]) => {
    destination.userfaultfd.faults.push(...pages);
    expect(handler.step()).toBe(true);
  };
  const feed = (bytes: Uint8Array) => other.putAll(bytes, drain);
  return {
    ...destination,
    handler,
    socket,
    other,
    signal,
    touch,
    feed,
    requests: () => parseRequests(other.takeWords()),
  };
}

function parseRequests(got: number[]): number[][] {
  const requests: number[][] = [];
  for (let at = 0; at < got.length;) {
    const [tag, count, low, high] = got.slice(at, at + 4) as [number, number, number, number];
    expect(tag).toBe(REQUEST);
    requests.push([low + high * 2 ** 32, ...got.slice(at + 4, at + 4 + count)]);
    at += 4 + count;
  }
  return requests;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('FaultHandler', () => {
  it('waits with a page for which the host has no memory, and asks for others meanwhile', () => {
    const { handler, expectPages, touch, feed, requests, userfaultfd, missing, reports } = setUp();
    expectPages(5, 3);
    touch(5, 6);
    userfaultfd.room = 0;
    feed(Buffer.concat([frame(5), frame(6)]));
    expect([handler.triesAgain, missing.next(0), reports.includes('memory-short')]).toEqual([true, 5, true]);
    touch(7);
    expect(requests()).toEqual([
      [0, 5, 6],
      [0, 7],
    ]);
    userfaultfd.room = Infinity;
    feed(frame(7));
    while (handler.step());
    expect([handler.triesAgain, missing.next(0)]).toEqual([false, -1]);
    expect(Buffer.compare(userfaultfd.content(6), contentOf(6))).toBe(0);
  });

  it('lets a page that holds nothing be touched again where the host has no memory for its tables', () => {
    const { touch, userfaultfd } = setUp();
    userfaultfd.room = 0;
    touch(9);
    expect(userfaultfd.calls).toEqual([
      ['zero', 9, 1],
      ['wake', 9, 1],
    ]);
  });

  it('asks for the pages that are touched, and installs them when they come', () => {
    const { expectPages, touch, feed, requests, userfaultfd, pending, waits, missing, reports, left } = setUp();
    expectPages(30, 2);
    touch(31, 30);
    expect(requests()).toEqual([[0, 31, 30]]);
    expect([pending.waiting, userfaultfd.calls]).toEqual([2, []]);
    feed(frame(31));
    expect([pending.waiting, missing.has(31), missing.has(30), left[0], reports]).toEqual([1, false, true, 1, []]);
    feed(frame(30));
    expect([pending.waiting, waits.count, left[0], reports]).toEqual([0, 2, 0, ['all-installed']]);
    expect([30, 31].every((page) => userfaultfd.content(page).equals(contentOf(page)))).toBe(true);
    expect(userfaultfd.calls).toEqual([
      ['copy', 31, 1],
      ['copy', 30, 1],
    ]);
  });

  it('asks for a page once, however many wait for it, and measures each wait', () => {
    const { expectPages, touch, feed, requests, pending, waits } = setUp();
    expectPages(5, 1);
    touch(5, 5);
    touch(5);
    expect([requests(), pending.waiting]).toEqual([[[0, 5]], 3]);
    feed(frame(5));
    expect([pending.waiting, waits.count, requests()]).toEqual([0, 3, []]);
  });

  it('answers faults on pages that hold nothing with zeroes, and asks nobody', () => {
    const { expectPages, touch, requests, userfaultfd, counters, waits } = setUp();
    expectPages(0, 8);
    touch(8, 1023);
    expect(userfaultfd.calls).toEqual([
      ['zero', 8, 1],
      ['zero', 1023, 1],
    ]);
    expect([requests(), counters.get('zeroFaults'), waits.count]).toEqual([[], 2, 0]);
  });

  it('wakes who touched a page that a bulk channel has installed meanwhile; that is no zero fault', () => {
    const { touch, userfaultfd, counters, expectPages, another } = setUp();
    expectPages(8, 1);
    another().install(8, 1, contentOf(8), 0);
    touch(8);
    expect([userfaultfd.calls.at(-1), counters.get('zeroFaults')]).toEqual([['zero', 8, 1], 0]);
    expect(userfaultfd.content(8).equals(contentOf(8))).toBe(true);
  });

  it('does not ask for a page that is installed just when its fault is noted', () => {
    const { expectPages, touch, requests, pending, waits, missing, another } = setUp();
    expectPages(8, 2);
    const add = pending.add.bind(pending);
    vi.spyOn(pending, 'add').mockImplementation((page, since) => {
      // Before the entry can be seen: the install settles nothing.
      another().install(page, 1, contentOf(page), 0);
      add(page, since);
    });
    touch(8);
    expect([requests(), pending.waiting, waits.count, missing.has(8)]).toEqual([[], 0, 1, false]);
  });

  it('leaves a fault to the bulk channel that brings its page', () => {
    const { expectPages, touch, pending, waits, another } = setUp();
    expectPages(8, 64);
    touch(20);
    const bulk = another();
    bulk.install(8, 64, Buffer.concat(Array.from({ length: 64 }, (_, i) => contentOf(8 + i))), 0);
    expect([pending.waiting, waits.count, bulk.waits.count]).toEqual([0, 0, 1]);
  });

  it('asks for many pages in requests of 64', () => {
    const { handler, expectPages, requests, userfaultfd } = setUp();
    expectPages(0, PAGES);
    const pages = Array.from({ length: 150 }, (_, i) => i * 3);
    userfaultfd.faults.push(...pages);
    while (handler.step());
    expect(requests()).toEqual([
      [0, ...pages.slice(0, 64)],
      [0, ...pages.slice(64, 128)],
      [0, ...pages.slice(128)],
    ]);
  });

  it('tells with each request how much has come, and when it is idle', () => {
    const { handler, expectPages, touch, feed, requests } = setUp();
    expectPages(0, 4);
    handler.idle();
    touch(0);
    feed(frame(0));
    touch(1);
    expect(requests()).toEqual([
      [0, 0],
      [1, 1],
    ]);
    handler.idle();
    feed(frame(1));
    handler.idle();
    handler.idle();
    expect(requests()).toEqual([[2]]);
  });

  it('waits for faults and for bytes', () => {
    const { handler, socket } = setUp();
    expect(waitsOf(handler)).toEqual([
      [FAULT_FD, POLLIN],
      [socket.fd, POLLIN],
    ]);
    expect(handler.step()).toBe(false);
  });
});

describe('pages on the urgent channel', () => {
  it('come in pieces, cut anywhere', () => {
    const setting = setUp();
    const { userfaultfd, missing, counters, expectPages, feed } = setting;
    const stream = Buffer.concat([frame(9), frame(700)]);
    for (const cut of cutsNear([0, FRAME, stream.length], stream.length)) {
      expectPages(9, 1);
      expectPages(700, 1);
      const before = counters.get('installed');
      feed(stream.subarray(0, cut));
      const installed = counters.get('installed') - before;
      if (installed !== Math.floor(cut / FRAME)) throw new Error(`cut at ${cut}: ${installed} pages are there`);
      feed(stream.subarray(cut));
      const whole = [9, 700].every((page) => userfaultfd.content(page).equals(contentOf(page)));
      if (!whole || missing.next(0) !== -1) throw new Error(`cut at ${cut}: not all is there`);
      userfaultfd.release();
    }
  });

  it('come many at once', () => {
    const { userfaultfd, expectPages, feed, reports } = setUp();
    expectPages(100, 200);
    const pages = Array.from({ length: 200 }, (_, i) => 299 - i);
    feed(Buffer.concat(pages.map((page) => frame(page))));
    expect(pages.every((page) => userfaultfd.content(page).equals(contentOf(page)))).toBe(true);
    expect(reports).toEqual(['all-installed']);
  });

  it.each([
    ['has another tag', frame(5, 0x54545850)],
    ['has no tag', frame(5, 0)],
    ['is not in the RAM', frame(PAGES)],
    ['is the last number there is', frame(0xffff_ffff)],
    ['holds nothing', frame(6)],
    ['has come before', frame(4)],
  ])('are refused if one %s', (_, bytes) => {
    const { userfaultfd, expectPages, feed, left } = setUp();
    expectPages(4, 2);
    feed(frame(4));
    expect(() => feed(bytes)).toThrow(badPeer);
    expect([userfaultfd.calls, left[0]]).toEqual([[['copy', 4, 1]], 1]);
  });

  it.each([0, 5, 8, 100, FRAME])('are lost with the link, closed after %d bytes', (bytes) => {
    const { handler, userfaultfd, expectPages, feed, other } = setUp();
    expectPages(0, 2);
    feed(Buffer.concat([frame(0), frame(1)]).subarray(0, bytes));
    other.close();
    expect(() => handler.step()).toThrow(linkLost);
    expect(userfaultfd.present.size).toBe(bytes < FRAME ? 0 : 1);
  });

  it('end when we close it ourselves', () => {
    const { handler, socket, signal } = setUp();
    signal.stop();
    socket.shutdown();
    expect(handler.step()).toBe(false);
  });
});

describe('patience', () => {
  let now = 0;
  const pass = (ms: number) => (now += ms * 1000);
  const atFixedTimes = () => {
    now = 1e9;
    vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
    const setting = setUp();
    setting.expectPages(0, 100);
    return setting;
  };

  it('ends before the hand-over when a page has been waited for, for 5 s', () => {
    const { handler, touch } = atFixedTimes();
    touch(0);
    handler.idle();
    pass(5000);
    handler.idle();
    pass(1);
    expect(() => handler.idle()).toThrow(linkLost);
  });

  it('is without end when nobody waits', () => {
    const { handler, touch, feed } = atFixedTimes();
    touch(0);
    handler.idle();
    feed(frame(0));
    for (let i = 0; i < 10; i++, pass(60_000)) handler.idle();
    // The next wait begins anew.
    touch(1);
    handler.idle();
    pass(4999);
    handler.idle();
  });

  it('lasts as long as pages come, also if somebody waits for another one whenever it looks', () => {
    const { handler, touch, feed } = atFixedTimes();
    for (let page = 0; page < 50; page++) {
      touch(page);
      pass(200);
      handler.idle();
      feed(frame(page));
    }
  });

  it("is the control channel's business after the hand-over", () => {
    const { handler, touch, signal } = atFixedTimes();
    touch(0);
    handler.idle();
    signal.handOver();
    pass(3_600_000);
    handler.idle();
  });
});

describe('discard', () => {
  it('lets whoever waits go on with zeroes until the link is stopped, and asks nobody', () => {
    const fd = native.createEventFd();
    native.signalEventFd(fd);
    const { handler, userfaultfd, expectPages, signal, requests } = setUp(fd);
    expectPages(0, 100);
    userfaultfd.faults.push(...Array.from({ length: 70 }, (_, page) => page), 500);
    userfaultfd.onCall = (_, first) => {
      if (first === 500) signal.stop();
    };
    handler.discard();
    native.closeFd(fd);
    expect(userfaultfd.calls).toHaveLength(71);
    expect(userfaultfd.calls.every(([name, , count]) => name === 'zero' && count === 1)).toBe(true);
    expect(requests()).toEqual([]);
  });
});
