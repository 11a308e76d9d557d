import { describe, expect, it } from 'vitest';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { POLLIN } from '../../../../src/native.js';
import { losePage } from '../../../native/lose-page.js';
import { contentOf, words } from '../../threads/channel-pair.js';
import { waitsOf } from '../../threads/waits-of.js';
import { fakeSource, type Source } from './fake-source.js';

const PAGES = 700;
const REQUEST = 0x51455250;
const PAGE_TAG = 0x45474150;
const LOST = 0x54534c50;
const FRAME = 4104;

const request = (received: number, ...pages: number[]) =>
  Buffer.from(words(REQUEST, pages.length, received, 0, ...pages));
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
const linkLost = expect.objectContaining({ code: 'LINK_LOST' });

interface Setting extends Source {
  server: PageServer;
  feed(bytes: Uint8Array): void;
  /** Page numbers of the PAGE frames that have come, each with its page's content. */
  answers(): number[];
}

/** The first requests have been, unless `first`. */
function setUp({ first = false } = {}): Setting {
  const source = fakeSource(PAGES);
  const server = new PageServer(source.channel);
  const drain = () => {
    while (server.step());
  };
  const feed = (bytes: Uint8Array) => source.other.putAll(bytes, drain);
  if (!first) feed(request(0, ...Array.from({ length: 64 }, () => 0)));
  return { ...source, server, feed, answers: () => parsePages(source.other.take()) };
}

function parsePages(bytes: Buffer): number[] {
  expect(bytes.length % FRAME).toBe(0);
  return Array.from({ length: bytes.length / FRAME }, (_, i) => {
    const frame = bytes.subarray(i * FRAME, (i + 1) * FRAME);
    const page = frame.readUInt32LE(4);
    if (frame.readUInt32LE(0) !== PAGE_TAG || !frame.subarray(8).equals(contentOf(page))) {
      throw new Error(`not a whole page ${page}`);
    }
    return page;
  });
}

describe('PageServer', () => {
  it('sends what is asked for, in that order', () => {
    const { fill, feed, answers, unsent, channel } = setUp();
    fill(5, 3);
    fill(699, 1);
    feed(request(0, 6, 699, 5));
    expect([answers(), unsent.next(0), unsent.next(8)]).toEqual([[6, 699, 5], 7, -1]);
    expect([channel.counters.get('pages'), channel.counters.get('bytes')]).toEqual([3, 3 * FRAME]);
  });

  it.each([true, false])('tells of a page that is lost, if it can, among those that are not: %s', (tellsLost) => {
    const { blocks, memory, other, fill, feed, channel } = setUp();
    channel.tellsLost = tellsLost;
    losePage(memory, 6);
    blocks.offer(6, 1);
    fill(8, 1);
    feed(request(0, 6, 8, 6));
    const lost = tellsLost ? [words(LOST, 6)] : [];
    const sent = other.take();
    expect(sent.equals(Buffer.concat([...lost, words(PAGE_TAG, 8), contentOf(8)]))).toBe(true);
    expect([channel.counters.get('lost'), channel.counters.get('bytes')]).toEqual([1, sent.length]);
  });

  it('sends a page once: not again, and not if another channel has claimed it', () => {
    const { fill, feed, answers, unsent, channel } = setUp();
    fill(0, 8);
    expect(unsent.claimRun(2, 2)).toBe(2);
    feed(request(0, 1, 2, 3, 4, 1));
    feed(request(0, 4, 600));
    expect([answers(), channel.counters.get('pages')]).toEqual([[1, 4], 2]);
  });

  it('takes a request of 64 pages, and sends those that are left in one go', () => {
    const { fill, server, answers, other } = setUp();
    fill(0, 240);
    // As many as a socket holds for sure.
    const pages = Array.from({ length: 24 }, (_, i) => i * 10);
    other.put(request(0, ...pages, ...Array.from({ length: 40 }, () => 0)));
    expect([server.step(), server.step()]).toEqual([true, false]);
    expect(answers()).toEqual(pages);
  });

  it('takes requests cut anywhere', () => {
    const { unsent, fill, feed, answers } = setUp();
    fill(0, 20);
    // One for three pages, one that only acknowledges, one for a page.
    const stream = Buffer.concat([request(0, 3, 17, 9), request(0), request(0, 4)]);
    for (let cut = 0; cut <= stream.length; cut++) {
      unsent.setRange(0, 20);
      feed(stream.subarray(0, cut));
      const first = answers();
      feed(stream.subarray(cut));
      const due = cut < 28 ? [] : cut < 64 ? [3, 17, 9] : [3, 17, 9, 4];
      expect([first, [...first, ...answers()]], `cut at ${cut}`).toEqual([due, [3, 17, 9, 4]]);
    }
  });

  it('takes requests byte by byte', () => {
    const { fill, feed, answers } = setUp();
    fill(0, 20);
    for (const byte of Buffer.concat([request(0, 3, 17), request(0), request(0, 4)])) feed(Uint8Array.of(byte));
    expect(answers()).toEqual([3, 17, 4]);
  });

  it('takes more requests than it reads at once', () => {
    const { fill, feed, answers, channel } = setUp();
    fill(699, 1);
    // 80 KiB of requests for pages that hold nothing: no answer may be in the way.
    const empty = request(0, ...Array.from({ length: 64 }, (_, page) => page));
    feed(Buffer.concat([...Array.from({ length: 300 }, () => empty), request(0, 699)]));
    expect([answers(), channel.counters.get('pages')]).toEqual([[699], 1]);
  });

  it('gives back what has arrived, after the hand-over only', () => {
    const { fill, feed, answers, released, signal, channel } = setUp();
    fill(0, 2);
    fill(520, 1);
    feed(request(0, 0, 1, 520));
    feed(request(2));
    expect([channel.sent.received, released]).toEqual([2, []]);
    signal.handOver();
    feed(request(2));
    expect([released, channel.counters.get('released')]).toEqual([[[0, 512]], 2]);
    feed(request(3));
    expect([released.at(-1), channel.counters.get('released')]).toEqual([[512, 188], 3]);
    expect(answers()).toEqual([0, 1, 520]);
  });

  it('waits for bytes', () => {
    const { server } = setUp();
    expect(waitsOf(server)).toEqual([[server.channel.socket.fd, POLLIN]]);
    expect(server.step()).toBe(false);
    server.idle();
  });
});

describe('the first 64 requests', () => {
  it('bring the neighbours, in groups of eight, behind the page itself', () => {
    const { fill, feed, answers, unsent, channel } = setUp({ first: true });
    fill(0, 32);
    feed(request(0, 13, 16));
    expect(answers()).toEqual([13, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]);
    expect([unsent.next(0), unsent.next(8)]).toEqual([0, 24]);
    expect([channel.counters.get('pages'), channel.counters.get('bytes')]).toEqual([16, 16 * FRAME]);
  });

  it('bring no neighbour that holds nothing, or is not here any more', () => {
    const { fill, feed, answers, unsent } = setUp({ first: true });
    fill(8, 4);
    unsent.claimRun(9, 1);
    feed(request(0, 10));
    expect(answers()).toEqual([10, 8, 11]);
    feed(request(0, 8, 9));
    expect(answers()).toEqual([]);
  });

  it('bring what is left of a page that the push took', () => {
    const { fill, feed, answers, unsent } = setUp({ first: true });
    fill(0, 8);
    unsent.claimRun(0, 4);
    feed(request(0, 2));
    expect(answers()).toEqual([4, 5, 6, 7]);
  });

  it('end with RAM', () => {
    const { fill, feed, answers } = setUp({ first: true });
    fill(690, 10);
    feed(request(0, 699));
    expect(answers()).toEqual([699, 696, 697, 698]);
  });

  it('have their pages acknowledged and released like others', () => {
    const { fill, feed, signal, released, channel } = setUp({ first: true });
    fill(0, 8);
    signal.handOver();
    feed(request(0, 3));
    feed(request(7));
    expect(released).toEqual([]);
    feed(request(8));
    expect([released, channel.sent.empty]).toEqual([[[0, 512]], true]);
  });

  it('are counted by pages, and the 65th brings nothing else', () => {
    const { fill, feed, answers } = setUp({ first: true });
    feed(request(0, ...Array.from({ length: 60 }, () => 600)));
    fill(0, 64);
    feed(request(0, 1, 9, 17, 25, 33));
    expect(answers()).toEqual(
      [1, 9, 17, 25].flatMap((page) => [page, page - 1, ...[1, 2, 3, 4, 5, 6].map((i) => page + i)]).concat(33),
    );
  });
});

describe('a destination that breaks the protocol', () => {
  it.each<[string, Uint8Array]>([
    ['asks for the page after the last', request(0, 1, PAGES)],
    ['asks for the last number there is', request(0, 1, 0xffff_ffff)],
    ['asks for 65 pages', request(0, ...Array.from({ length: 65 }, () => 1))],
    ['asks for more than it could say', words(REQUEST, 0xffff_ffff, 0, 0)],
    ['sends another tag', words(0x56435250, 0, 0, 0)],
    ['sends no tag', words(0, 0, 0, 0)],
    ['has received what was not sent', request(1, 1)],
    ['has received more than there can be', words(REQUEST, 0, 0, 0xffff_ffff)],
  ])('%s', (_, bytes) => {
    const { fill, feed, answers, signal, released } = setUp();
    signal.handOver();
    fill(0, 2);
    expect(() => feed(bytes)).toThrow(badPeer);
    expect([answers(), released]).toEqual([[], []]);
  });

  it('takes an acknowledgement back', () => {
    const { fill, feed, signal } = setUp();
    signal.handOver();
    fill(0, 2);
    feed(request(0, 0, 1));
    feed(request(2));
    expect(() => feed(request(1))).toThrow(badPeer);
  });

  it('closes the channel, also in the middle of a request', () => {
    const { server, fill, feed, other } = setUp();
    fill(0, 2);
    feed(request(0, 0, 1).subarray(0, 23));
    other.close();
    expect(() => server.step()).toThrow(linkLost);
  });
});

it('ends when we close the channel ourselves', () => {
  const { server, signal, channel } = setUp();
  signal.stop();
  channel.socket.shutdown();
  expect(server.step()).toBe(false);
});
