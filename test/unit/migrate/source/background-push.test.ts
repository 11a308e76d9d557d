import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import { BackgroundPush, type Depth } from '../../../../src/migrate/source/background-push.js';
import { PushDepth } from '../../../../src/migrate/source/push-depth.js';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import type { SourceChannel } from '../../../../src/migrate/source/source-channel.js';
import { native, POLLIN, POLLOUT } from '../../../../src/native.js';
import { contentOf, words } from '../channel-pair.js';
import { fakeSource, type Source } from './fake-source.js';

const PAGE = 4096;
const PAGES = 700;
const HEADER = 16;
const [EXTENT, ZERO, END, RECEIVED] = ['PXTT', 'ZERO', 'PEND', 'PRCV'].map((tag) =>
  Buffer.from(tag).readUInt32LE(),
) as [number, number, number, number];

const received = (count: number) => Buffer.from(words(RECEIVED, 0, count, 0));
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
const linkLost = expect.objectContaining({ code: 'LINK_LOST' });

/** Does not wait for acknowledgements, and makes extents as long as they may be. */
const straightOn: Depth = { extentPages: 64, open: true, sent: () => {}, acknowledged: () => {} };

afterEach(() => {
  vi.restoreAllMocks();
});

type Frame = ['EXTENT' | 'ZERO', first: number, pages: number] | ['END'];

/** The frames of a stream; throws unless it ends with a whole one and every page in it is what it was. */
function parse(stream: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < stream.length; at += HEADER) {
    const [tag, first, pages, zero] = [0, 4, 8, 12].map((i) => stream.readUInt32LE(at + i)) as [
      number,
      number,
      number,
      number,
    ];
    expect(zero).toBe(0);
    if (tag === END) frames.push(['END']);
    else if (tag === ZERO) frames.push(['ZERO', first, pages]);
    else if (tag === EXTENT) frames.push(['EXTENT', first, pages]);
    else throw new Error(`no frame at byte ${at}`);
    for (let page = first; tag === EXTENT && page < first + pages; page++, at += PAGE) {
      const content = stream.subarray(at + HEADER, at + HEADER + PAGE);
      if (!content.equals(contentOf(page))) throw new Error(`page ${page} is not what it was`);
    }
  }
  return frames;
}

interface Setting extends Source {
  push: BackgroundPush;
  /** Steps, and takes what comes, until there is nothing more to do. */
  run(): Buffer;
  feed(bytes: Uint8Array): void;
  events(): number;
}

function setUp(
  change: (channel: SourceChannel) => Partial<SourceChannel> = () => ({}),
  depth: Depth = straightOn,
): Setting {
  const source = fakeSource(PAGES);
  const channel = { ...source.channel, ...change(source.channel) };
  const push = new BackgroundPush(channel, depth);
  const run = () => {
    const parts: Buffer[] = [];
    while (push.step()) parts.push(source.other.take());
    return Buffer.concat(parts);
  };
  const feed = (bytes: Uint8Array) => source.other.putAll(bytes, () => push.step());
  const events = () => {
    const set = new Int32Array(6);
    expect(push.sources(set, 3)).toBe(6);
    expect([set[3], set[5]]).toEqual([channel.socket.fd, 0]);
    return set[4]!;
  };
  return { ...source, channel, push, run, feed, events };
}

describe('BackgroundPush', () => {
  it('sends nothing before the hand-over', () => {
    const { push, fill, other, unsent, link, events } = setUp();
    fill(0, 10);
    expect([push.step(), events(), other.take().length, unsent.next(0)]).toEqual([false, POLLIN, 0, 0]);
    link.handOver();
    expect(push.step()).toBe(true);
    expect(parse(other.take())).toEqual([['EXTENT', 0, 10]]);
  });

  it('sends all there is from the first page on, in extents of 64 at most, and the end once', () => {
    const { push, fill, run, link, unsent, channel, events } = setUp();
    fill(10, 130);
    fill(300, 1);
    fill(699, 1);
    link.handOver();
    const stream = run();
    expect(parse(stream)).toEqual([
      ['EXTENT', 10, 64],
      ['EXTENT', 74, 64],
      ['EXTENT', 138, 2],
      ['EXTENT', 300, 1],
      ['EXTENT', 699, 1],
      ['END'],
    ]);
    const { counters } = channel;
    expect([unsent.next(0), counters.get('pages'), counters.get('zeroPages')]).toEqual([-1, 132, 0]);
    expect(counters.get('bytes')).toBe(stream.length);
    expect([push.step(), push.step(), events(), run().length]).toEqual([false, false, POLLIN, 0]);
  });

  it('tells only the end when there is nothing to send', () => {
    const { run, link, channel } = setUp();
    link.handOver();
    expect(parse(run())).toEqual([['END']]);
    expect([channel.counters.get('bytes'), channel.sent.empty]).toEqual([HEADER, true]);
  });

  it('tells of pages of zeroes instead of sending them', () => {
    const { fill, run, link, channel } = setUp();
    fill(0, 2);
    fill(2, 70, true);
    fill(72, 1);
    fill(73, 1, true);
    link.handOver();
    const stream = run();
    expect(parse(stream)).toEqual([
      ['EXTENT', 0, 2],
      ['ZERO', 2, 62],
      ['ZERO', 64, 8],
      ['EXTENT', 72, 1],
      ['ZERO', 73, 1],
      ['END'],
    ]);
    const { counters } = channel;
    expect([counters.get('pages'), counters.get('zeroPages'), counters.get('bytes')]).toEqual([3, 71, stream.length]);
  });

  it('takes a page for zeroes only if its last byte is zero too', () => {
    const { fill, memory, other, push, link } = setUp();
    fill(0, 3, true);
    memory.write(2 * PAGE - 1, Uint8Array.of(1));
    link.handOver();
    while (push.step());
    const stream = other.take();
    expect(stream.length).toBe(4 * HEADER + PAGE);
    expect([0, HEADER, 2 * HEADER + PAGE].map((at) => stream.readUInt32LE(at))).toEqual([ZERO, EXTENT, ZERO]);
  });

  it('goes back for pages that are left behind it', () => {
    const { fill, push, other, run, link, unsent } = setUp();
    fill(200, 70);
    link.handOver();
    push.step();
    fill(20, 2);
    expect(parse(Buffer.concat([other.take(), run()]))).toEqual([
      ['EXTENT', 200, 64],
      ['EXTENT', 264, 6],
      ['EXTENT', 20, 2],
      ['END'],
    ]);
    expect(unsent.next(0)).toBe(-1);
  });

  it('leaves pages to others that are faster', () => {
    // Another channel takes the first page just after this one has found it.
    let taken = false;
    const racing = (unsent: PageBitmap) =>
      Object.create(unsent, {
        pages: { value: unsent.pages },
        next: { value: (from: number) => unsent.next(from) },
        claimRun: {
          value: (first: number, most: number) => {
            if (!taken) unsent.clear(first);
            taken = true;
            return unsent.claimRun(first, most);
          },
        },
      }) as PageBitmap;
    const { fill, run, link } = setUp(({ unsent }) => ({ unsent: racing(unsent) }));
    fill(30, 1);
    fill(40, 2);
    link.handOver();
    expect(parse(run())).toEqual([['EXTENT', 40, 2], ['END']]);
  });

  it('sends no page that was asked for meanwhile, and the server none that is pushed', () => {
    const { fill, push, other, run, link, another } = setUp();
    fill(0, 200);
    link.handOver();
    const urgent = another();
    const server = new PageServer(urgent.channel);
    const ask = (...pages: number[]) => {
      urgent.other.put(words(0x51455250, pages.length, 0, 0, ...pages));
      server.step();
      return urgent.other.take();
    };
    push.step();
    const asked = ask(3, 100, 63, 64);
    expect(Array.from({ length: asked.length / 4104 }, (_, i) => asked.readUInt32LE(i * 4104 + 4))).toEqual([
      ...[100, 96, 97, 98, 99, 101, 102, 103],
      ...[64, 65, 66, 67, 68, 69, 70, 71],
    ]);
    expect(parse(Buffer.concat([other.take(), run()]))).toEqual([
      ['EXTENT', 0, 64],
      ['EXTENT', 72, 24],
      ['EXTENT', 104, 64],
      ['EXTENT', 168, 32],
      ['END'],
    ]);
    expect(ask(150).length).toBe(0);
  });
});

describe('a socket that takes less than all', () => {
  /** A socket that takes so many bytes at each call. */
  function limited(channel: SourceChannel, room: () => number): { socket: SourceChannel['socket']; out: Buffer[] } {
    const out: Buffer[] = [];
    let frame = Buffer.alloc(0);
    const trySendPages: SourceChannel['socket']['trySendPages'] = (memory, headers, headerBytes, extents, _, skip) => {
      if (skip === 0) {
        frame = Buffer.alloc(headerBytes + extents[1]! * PAGE);
        frame.set(headers.subarray(0, headerBytes));
        memory.read(extents[0]! * PAGE, frame.subarray(headerBytes));
      }
      out.push(frame.subarray(skip, skip + room()));
      return out.at(-1)!.length;
    };
    const receive = channel.socket.receive.bind(channel.socket);
    return { socket: { trySendPages, receive, fd: channel.socket.fd } as unknown as SourceChannel['socket'], out };
  }

  it.each([[[1]], [[HEADER - 1, 1]], [[HEADER]], [[HEADER + 1, PAGE - 1]], [[PAGE, 17, 1, 5 * PAGE]], [[100_000, 3]]])(
    'in pieces of %j bytes: the same stream',
    (sizes) => {
      let [out, turn]: [Buffer[], number] = [[], 0];
      const { fill, push, link, channel } = setUp((given) => {
        const limit = limited(given, () => sizes[turn++ % sizes.length]!);
        out = limit.out;
        return { socket: limit.socket };
      });
      fill(0, 3);
      fill(3, 2, true);
      fill(5, 60);
      link.handOver();
      while (push.step());
      const stream = Buffer.concat(out);
      expect(parse(stream)).toEqual([['EXTENT', 0, 3], ['ZERO', 3, 2], ['EXTENT', 5, 59], ['EXTENT', 64, 1], ['END']]);
      expect(channel.counters.get('bytes')).toBe(stream.length);
    },
  );

  it('is waited for, only with a frame under way', () => {
    let room = HEADER + 10;
    const { fill, push, link, events, unsent } = setUp((given) => limited(given, () => room));
    fill(0, 70);
    link.handOver();
    expect([push.step(), events()]).toEqual([true, POLLIN | POLLOUT]);
    room = 0;
    expect([push.step(), push.step(), events(), unsent.next(0)]).toEqual([false, false, POLLIN | POLLOUT, 64]);
    room = 64 * PAGE - 10;
    expect([push.step(), events()]).toEqual([true, POLLIN]);
    room = 0;
    // A whole frame is under way before the socket says that it takes nothing.
    expect([push.step(), events(), unsent.next(0)]).toEqual([false, POLLIN | POLLOUT, -1]);
    room = 10 * PAGE;
    expect([push.step(), push.step(), push.step(), events()]).toEqual([true, true, false, POLLIN]);
  });

  it('and a real one: all arrives, however slowly it is read', () => {
    const { fill, push, link, other, channel, events } = setUp();
    channel.socket.configure({ sendBuffer: 16 * 1024 });
    fill(0, 200);
    fill(200, 300, true);
    fill(500, 200);
    link.handOver();
    const parts: Buffer[] = [];
    let waits = 0;
    for (let quiet = 0; quiet < 2;) {
      while (push.step());
      if (events() !== POLLIN) waits++;
      const part = other.take(5000);
      quiet = part.length === 0 ? quiet + 1 : 0;
      parts.push(part);
    }
    const frames = parse(Buffer.concat(parts));
    expect(frames.at(-1)).toEqual(['END']);
    const sum = (kind: string) => frames.reduce((total, [is, , count]) => total + (is === kind ? count! : 0), 0);
    expect([sum('EXTENT'), sum('ZERO'), waits > 100]).toEqual([400, 300, true]);
  });
});

describe('what the destination acknowledges', () => {
  it('is given back, in blocks, after the hand-over', () => {
    const { fill, run, feed, link, released, channel } = setUp();
    fill(0, 64);
    fill(511, 2, true);
    link.handOver();
    run();
    feed(received(64));
    expect([released, channel.counters.get('released')]).toEqual([[], 0]);
    feed(received(66));
    expect(released).toEqual([
      [0, 512],
      [512, 188],
    ]);
    expect([channel.counters.get('released'), channel.sent.empty]).toEqual([66, true]);
  });

  it('may come in any pieces', () => {
    const { fill, run, feed, link, channel } = setUp();
    fill(0, 64);
    link.handOver();
    run();
    const stream = Buffer.concat([received(3), received(3), received(64)]);
    const seen = [...stream].map((byte) => (feed(Uint8Array.of(byte)), channel.sent.received));
    expect(seen).toEqual([...Array(15).fill(0), ...Array(32).fill(3), 64]);
  });

  it('may come many at once', () => {
    const { fill, run, feed, link, channel } = setUp();
    fill(0, 64);
    link.handOver();
    run();
    feed(Buffer.concat(Array.from({ length: 3000 }, (_, i) => received(Math.min(64, i)))));
    expect(channel.sent.received).toBe(64);
  });

  it('makes room for more: nothing new is begun while too much is unacknowledged, what is under way goes on', () => {
    let full = false;
    const withLimit = (sent: SourceChannel['sent']) =>
      Object.create(sent, {
        full: { get: () => full },
        add: { value: (first: number, count: number) => sent.add(first, count) },
        acknowledge: { value: (count: number) => sent.acknowledge(count) },
        release: { value: () => sent.release() },
        released: { get: () => sent.released },
        received: { get: () => sent.received },
      }) as SourceChannel['sent'];
    const { fill, push, run, feed, link, other, channel, events } = setUp(({ sent, socket }) => {
      socket.configure({ sendBuffer: 16 * 1024 });
      return { sent: withLimit(sent) };
    });
    fill(0, 64);
    fill(100, 1);
    link.handOver();
    push.step();
    expect(events()).toBe(POLLIN | POLLOUT);
    full = true;
    const first = Buffer.concat([other.take(), run()]);
    expect([parse(first), push.step(), events()]).toEqual([[['EXTENT', 0, 64]], false, POLLIN]);
    full = false;
    feed(received(64));
    expect(parse(Buffer.concat([other.take(), run()]))).toEqual([['EXTENT', 100, 1], ['END']]);
    expect(channel.counters.get('pages')).toBe(65);
  });

  it.each<[string, Uint8Array]>([
    ['was not sent', received(65)],
    ['is beyond counting', words(RECEIVED, 0, 0, 1)],
    ['comes in another frame', words(0x51455250, 0, 64, 0)],
    ['comes in no frame', words(0, 0, 0, 0)],
  ])('breaks the protocol if it %s', (_, bytes) => {
    const { fill, run, feed, link, released } = setUp();
    fill(0, 64);
    link.handOver();
    run();
    expect(() => feed(bytes)).toThrow(badPeer);
    expect(released).toEqual([]);
  });

  it('breaks the protocol if it comes before the hand-over', () => {
    const { fill, feed } = setUp();
    fill(0, 64);
    expect(() => feed(received(1))).toThrow(badPeer);
  });

  it('breaks the protocol if it is taken back', () => {
    const { fill, run, feed, link } = setUp();
    fill(0, 64);
    link.handOver();
    run();
    feed(received(10));
    expect(() => feed(received(9))).toThrow(badPeer);
  });
});

describe('how much is in flight', () => {
  /** The clock stands at `micros` from now on. */
  const at = (micros: number) => vi.spyOn(native, 'monotonicMicros').mockReturnValue(micros);

  it('is three extents of four pages, until acknowledgements come', () => {
    const { fill, push, run, link, events, channel, unsent } = setUp(undefined, new PushDepth());
    fill(0, 100);
    link.handOver();
    expect(parse(run())).toEqual([
      ['EXTENT', 0, 4],
      ['EXTENT', 4, 4],
      ['EXTENT', 8, 4],
    ]);
    expect([push.step(), events(), unsent.next(0), channel.counters.get('pages')]).toEqual([false, POLLIN, 12, 12]);
  });

  it('counts pages of zeroes as well', () => {
    const { fill, run, link } = setUp(undefined, new PushDepth());
    fill(0, 100, true);
    link.handOver();
    expect(parse(run())).toEqual([
      ['ZERO', 0, 4],
      ['ZERO', 4, 4],
      ['ZERO', 8, 4],
    ]);
  });

  it('follows the rate and the round trip that acknowledgements tell', () => {
    const { fill, run, other, link } = setUp(undefined, new PushDepth());
    fill(0, 300);
    link.handOver();
    at(1000);
    run();
    // 12 pages in 40 us: 45 in 150 us.
    at(1040);
    other.put(received(12));
    expect(parse(run())).toEqual([
      ['EXTENT', 12, 45],
      ['EXTENT', 57, 45],
      ['EXTENT', 102, 45],
    ]);
    other.put(received(13));
    expect(parse(run())).toEqual([['EXTENT', 147, 45]]);
  });

  it('is what the end waits for as well', () => {
    const { fill, run, other, link } = setUp(undefined, new PushDepth());
    fill(0, 12);
    link.handOver();
    expect(parse(run())).toHaveLength(3);
    other.put(received(4));
    expect(parse(run())).toEqual([['END']]);
  });

  it('is told of every extent when its header goes out, and of what has come', () => {
    const told: [string, number, number][] = [];
    const depth: Depth = {
      ...straightOn,
      sent: (...args) => told.push(['sent', ...args]),
      acknowledged: (...args) => told.push(['acknowledged', ...args]),
    };
    const { fill, run, other, link } = setUp(undefined, depth);
    fill(0, 3);
    fill(3, 70, true);
    link.handOver();
    at(5);
    run();
    at(9);
    other.put(Buffer.concat([received(3), received(64)]));
    run();
    expect(told).toEqual([
      ['sent', 3, 5],
      ['sent', 61, 5],
      ['sent', 9, 5],
      ['acknowledged', 64, 9],
    ]);
  });
});

describe('a channel that is closed', () => {
  it('by the destination is a lost link', () => {
    const { push, other, run, fill, link } = setUp();
    fill(0, 64);
    link.handOver();
    run();
    other.close();
    expect(() => push.step()).toThrow(linkLost);
  });

  it('in the middle of a frame is an error of the system call, which is one as well', () => {
    const { push, other, fill, link, channel } = setUp();
    channel.socket.configure({ sendBuffer: 16 * 1024 });
    fill(0, 64);
    link.handOver();
    push.step();
    other.close();
    expect(() => push.step()).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(ECONN|EPIPE|LINK_LOST)/) }),
    );
  });

  it('by ourselves is the end', () => {
    const { push, link, channel } = setUp();
    link.stop();
    channel.socket.shutdown();
    expect(push.step()).toBe(false);
  });
});
