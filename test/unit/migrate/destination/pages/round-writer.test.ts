import { describe, expect, it } from 'vitest';
import { BulkReceiver } from '../../../../../src/migrate/destination/pages/bulk-receiver.js';
import { RoundWriter } from '../../../../../src/migrate/destination/pages/round-writer.js';
import { SwitchingSink } from '../../../../../src/migrate/destination/pages/switching-sink.js';
import { Rounds } from '../../../../../src/migrate/destination/rounds.js';
import { GoSignal } from '../../../../../src/threads/go-signal.js';
import { channelPair, contentOf, words } from '../../../threads/channel-pair.js';
import { fakeDestination } from './fake-userfaultfd.js';

const PAGE = 4096;
const PAGES = 256;
const [EXTENT, ZERO] = ['PXTT', 'ZERO'].map((tag) => Buffer.from(tag).readUInt32LE()) as [number, number];
const none = new Uint32Array(0);

/** Pages whose content is that of other pages: a page that was rewritten has another than its own. */
const extent = (first: number, ...contents: number[]) =>
  Buffer.concat([words(EXTENT, first, contents.length, 0), ...contents.map(contentOf)]);
const zero = (first: number, count: number) => words(ZERO, first, count, 0);
const badPeer = (text: string) => expect.objectContaining({ code: 'BAD_PEER', message: expect.stringContaining(text) });

function setUp() {
  const ram = Buffer.alloc(PAGES * PAGE);
  const calls: [string, number, number][] = [];
  const memory = {
    write: (offset: number, from: Uint8Array) => {
      calls.push(['write', offset / PAGE, from.length / PAGE]);
      ram.set(from, offset);
    },
    release: (first: number, count: number) => {
      calls.push(['release', first, count]);
      ram.fill(0, first * PAGE, (first + count) * PAGE);
    },
  };
  const rounds = new Rounds(PAGES);
  const destination = fakeDestination(PAGES);
  const { socket, other } = channelPair();
  const sink = new SwitchingSink(new RoundWriter(memory, rounds), destination.installer);
  const receiver = new BulkReceiver(socket, sink, new GoSignal());
  const feed = (bytes: Uint8Array) =>
    other.putAll(bytes, () => {
      while (receiver.step());
    });
  const received = () => other.takeWords().filter((_, i) => i % 4 === 2);
  const content = (page: number) => ram.subarray(page * PAGE, (page + 1) * PAGE);
  return { ...destination, rounds, memory, calls, feed, received, content };
}

describe('pages that come in rounds', () => {
  it('are written, the last content counts, and each is acknowledged as often as it came', () => {
    const { feed, content, calls, received, userfaultfd } = setUp();
    feed(extent(10, 1, 2, 3));
    feed(extent(11, 7));
    expect([10, 11, 12].map((page) => content(page))).toEqual([1, 7, 3].map(contentOf));
    expect(calls).toEqual([
      ['write', 10, 3],
      ['write', 11, 1],
    ]);
    expect([received(), userfaultfd.calls]).toEqual([[3, 4], []]);
  });

  it('read zero after a content, and have one again after zeroes; what holds nothing is left alone', () => {
    const { feed, content, calls, received } = setUp();
    feed(extent(10, 1, 2));
    feed(zero(5, 64));
    expect([content(10), content(11)]).toEqual([Buffer.alloc(PAGE), Buffer.alloc(PAGE)]);
    expect(calls.slice(1)).toEqual([['release', 10, 2]]);
    feed(zero(10, 2));
    feed(extent(11, 3));
    expect([content(11), calls.length, received()]).toEqual([contentOf(3), 3, [2, 66, 68, 69]]);
  });

  it('are installed behind STATE, once, and counted on', () => {
    const { feed, rounds, received, userfaultfd, expectPages, calls } = setUp();
    feed(extent(10, 1, 2, 3));
    rounds.end(Uint32Array.of(10, 2), Uint32Array.of(12, 1));
    expectPages(12, 1);
    feed(extent(12, 9));
    expect([userfaultfd.content(12), received(), calls.length]).toEqual([contentOf(9), [3, 4], 1]);
    expect(() => feed(extent(12, 9))).toThrow(badPeer('page 12, which was not to come or has come before'));
  });

  it.each<[string, Uint8Array]>([
    ['a page that is here', extent(10, 5)],
    ['one that holds nothing', extent(20, 5)],
    ['zeroes for one that is here', zero(10, 1)],
  ])('are none behind STATE: %s', (_, frame) => {
    const { feed, rounds, calls, userfaultfd } = setUp();
    feed(extent(10, 1));
    rounds.end(Uint32Array.of(10, 1), none);
    expect(() => feed(frame)).toThrow(badPeer('not to come or has come before'));
    expect([calls.length, userfaultfd.calls]).toEqual([1, []]);
  });

  it('must not be on their way when STATE comes: RAM is not written to any more', () => {
    const { feed, rounds, calls } = setUp();
    const frame = extent(10, 1, 2);
    feed(frame.subarray(0, frame.length - 1));
    rounds.end(none, none);
    expect(() => feed(frame.subarray(-1))).toThrow(badPeer('STATE while pages of a round were on their way'));
    expect(calls).toEqual([['write', 10, 1]]);
  });

  it.each([
    ['beyond the end', PAGES, 1],
    ['across the end', PAGES - 1, 2],
    ['at the last number there is', 0xffff_ffff, 64],
  ])('are of the VM: none %s', (_, first, count) => {
    for (const tag of [EXTENT, ZERO]) {
      const { feed, calls } = setUp();
      expect(() => feed(words(tag, first, count, 0))).toThrow(badPeer('the VM has 256'));
      expect(calls).toEqual([]);
    }
  });

  it('leave the gate when they cannot be written: STATE does not wait for them', () => {
    const { feed, rounds, memory } = setUp();
    memory.write = () => {
      throw new Error('a page is lost');
    };
    expect(() => feed(extent(10, 1))).toThrow('a page is lost');
    rounds.end(none, none);
  });
});
