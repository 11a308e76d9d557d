import { describe, expect, it } from 'vitest';
import {
  ExtentInbox,
  ReceivedInbox,
  RequestInbox,
  TriedInbox,
  UrgentInbox,
  type Stopped,
} from '../../../../src/migrate/wire/page-inbox.js';
import type { Socket } from '../../../../src/native.js';
import { contentOf, words } from '../../threads/channel-pair.js';

const TAGS = ['PREQ', 'PAGE', 'PXTT', 'ZERO', 'PEND', 'PRCV', 'PTRI', 'PTRD'];
const [REQUEST, PAGE, EXTENT, ZERO, END, RECEIVED, TRIAL, TRIED] = TAGS.map((tag) =>
  Buffer.from(tag).readUInt32LE(),
) as [number, number, number, number, number, number, number, number];
const PAGE_BYTES = 4096;

const request = (received: number, ...pages: number[]) => words(REQUEST, pages.length, received, 2, ...pages);
const page = (number: number) => Buffer.concat([words(PAGE, number), contentOf(number)]);
const extent = (first: number, count: number) =>
  Buffer.concat([words(EXTENT, first, count, 0), ...Array.from({ length: count }, (_, i) => contentOf(first + i))]);

/** Gives what the test puts in, no more at a time than is asked for. */
class FakeSocket {
  #bytes = Buffer.alloc(0);
  isClosed = false;
  /** Of each call that was given something: where it went, and how much was asked for. */
  readonly asked: [offset: number, maximum: number][] = [];

  put(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }

  receive(into: Uint8Array, offset: number, minimum: number, maximum: number, timeoutMs: number): number {
    const isFit = minimum === 0 && timeoutMs === 0 && maximum > 0 && offset + maximum <= into.length;
    if (!isFit) throw new Error(`receive() at ${offset}: ${minimum} to ${maximum} bytes in ${timeoutMs} ms`);
    if (this.#bytes.length === 0) return this.isClosed ? 0 : -1;
    this.asked.push([offset, maximum]);
    const got = this.#bytes.subarray(0, maximum);
    this.#bytes = this.#bytes.subarray(got.length);
    into.set(got, offset);
    return got.length;
  }
}

interface Inbox {
  receive(): boolean;
  next(): boolean;
}

interface Kind<Box extends Inbox> {
  open(socket: Socket, signal: Stopped): Box;
  /** What a frame says. Of one that comes in pieces, all of them are received. */
  read(inbox: Box): unknown;
  /** Frames, and what they say. */
  frames: [bytes: Uint8Array, says: unknown][];
  headerBytes: number;
}

const requests: Kind<RequestInbox> = {
  open: (socket, signal) => new RequestInbox(socket, signal),
  read: (inbox) => [inbox.received, ...Array.from({ length: inbox.count }, (_, i) => inbox.page(i))],
  frames: [
    [request(5, 9, 0xffff_ffff), [2 ** 33 + 5, 9, 0xffff_ffff]],
    [request(7), [2 ** 33 + 7]],
    [request(8, 1), [2 ** 33 + 8, 1]],
  ],
  headerBytes: 16,
};

const pages: Kind<UrgentInbox> = {
  open: (socket, signal) => new UrgentInbox(socket, signal),
  read: ({ isTrial, page, bytes, contentAt }) =>
    isTrial ? ['trial', page] : [page, isContent(page, bytes, contentAt)],
  frames: [
    [page(3), [3, true]],
    [words(TRIAL, 0), ['trial', 0]],
    [page(0xffff_fff0), [0xffff_fff0, true]],
    [Buffer.concat([words(TRIAL, 1), contentOf(1)]), ['trial', 1]],
    [page(4), [4, true]],
  ],
  headerBytes: 8,
};

const extents: Kind<ExtentInbox> = {
  open: (socket, signal) => new ExtentInbox(socket, signal),
  read(inbox) {
    const { tag, first, count } = inbox;
    if (tag !== EXTENT && tag !== TRIAL) return [tag, first, count];
    while (inbox.pagesHere < count && inbox.receive());
    return inbox.pagesHere < count ? 'cut' : [tag, first, count, ...contents(inbox)];
  },
  frames: [
    [extent(7, 2), [EXTENT, 7, 2, true, true]],
    [words(ZERO, 9, 64, 0), [ZERO, 9, 64]],
    [extent(900, 1), [EXTENT, 900, 1, true]],
    [words(TRIAL, 0, 0, 0), [TRIAL, 0, 0]],
    [Buffer.concat([words(TRIAL, 5, 2, 0), contentOf(5), contentOf(6)]), [TRIAL, 5, 2, true, true]],
    [words(END, 0, 0, 0), [END, 0, 0]],
  ],
  headerBytes: 16,
};

const received: Kind<ReceivedInbox> = {
  open: (socket, signal) => new ReceivedInbox(socket, signal),
  read: (inbox) => inbox.received,
  frames: [
    [words(RECEIVED, 0, 1, 0), 1],
    [words(RECEIVED, 0, 0xffff_ffff, 1), 2 ** 33 - 1],
  ],
  headerBytes: 16,
};

const tried: Kind<TriedInbox> = {
  open: (socket, signal) => new TriedInbox(socket, signal),
  read: (inbox) => inbox.pages,
  frames: [
    [words(TRIED, 0, 0, 0), 0],
    [Buffer.concat([words(TRIED, 64, 0, 0), contentOf(1)]), 64],
    [Buffer.concat([words(TRIED, 1, 0, 0), contentOf(2)]), 1],
  ],
  headerBytes: 16,
};

const known = new Map<number, Buffer>();

function isContent(number: number, bytes: Uint8Array, at: number): boolean {
  const content = known.get(number) ?? contentOf(number);
  known.set(number, content);
  return content.equals(bytes.subarray(at, at + PAGE_BYTES));
}

function contents(inbox: ExtentInbox): boolean[] {
  return Array.from({ length: inbox.count }, (_, i) => isContent(inbox.first + i, inbox.bytes, inbox.contentAt(i)));
}

function setUp<Box extends Inbox>(kind: Kind<Box>) {
  const socket = new FakeSocket();
  const signal = { stopped: false };
  const inbox = kind.open(socket as unknown as Socket, signal);
  /** What the frames say that are there, up to one that is here in part. */
  const drain = (): unknown[] => {
    const said: unknown[] = [];
    do {
      while (inbox.next()) {
        const says = kind.read(inbox);
        if (says === 'cut') return said;
        said.push(says);
      }
    } while (inbox.receive());
    return said;
  };
  return { socket, signal, inbox, drain };
}

/** The compiler cannot tell that a kind goes with itself, whichever it is. */
const KINDS = [
  ['requests', requests],
  ['pages', pages],
  ['extents', extents],
  ['what is received', received],
  ['answers to a trial', tried],
] as unknown as [string, Kind<Inbox>][];

describe.each(KINDS)('an inbox of %s', (_, kind) => {
  const stream = Buffer.concat(kind.frames.map(([bytes]) => bytes));
  const says = kind.frames.map(([, said]) => said);

  it('hands out the frames of a stream', () => {
    const { socket, drain } = setUp(kind);
    socket.put(stream);
    expect(drain()).toEqual(says);
  });

  it('keeps what is not whole, wherever the stream is cut', () => {
    let [end, whole] = [0, 0];
    const { socket, inbox, drain } = setUp(kind);
    for (let cut = 0; cut <= stream.length; cut++) {
      while (whole < says.length && end + (kind.frames[whole]?.[0].length ?? 0) <= cut) {
        end += kind.frames[whole++]?.[0].length ?? 0;
      }
      socket.put(stream.subarray(0, cut));
      const before = drain();
      if (before.length !== whole) throw new Error(`cut at ${cut}: ${before.length} frames, not ${whole}`);
      socket.put(stream.subarray(cut));
      // An extent that was handed out with its header is handed out once.
      const under = kind === extents && inExtent(cut) ? [kind.read(inbox)] : [];
      const all = [...before, ...under, ...drain()];
      if (JSON.stringify(all) !== JSON.stringify(says)) throw new Error(`cut at ${cut}: ${JSON.stringify(all)}`);
    }
  });

  it('takes it byte by byte, and between frames has nothing', () => {
    const { socket, inbox } = setUp(kind);
    const [first] = kind.frames as [[Uint8Array, unknown]];
    const sizes = kind === extents ? [kind.headerBytes] : [first[0].length];
    const handedOut: number[] = [];
    first[0].forEach((byte, i) => {
      socket.put(Uint8Array.of(byte));
      expect(inbox.receive()).toBe(true);
      if (handedOut.length === 0 && inbox.next()) handedOut.push(i + 1);
    });
    expect(handedOut).toEqual(sizes);
    expect(inbox.next()).toBe(false);
    expect((inbox as ExtentInbox).isEmpty).toBe(true);
  });

  it('tells nothing, closed and stopped apart', () => {
    const { socket, signal, inbox } = setUp(kind);
    expect(inbox.receive()).toBe(false);
    socket.isClosed = true;
    expect(() => inbox.receive()).toThrow(
      expect.objectContaining({
        code: 'LINK_LOST',
        message: expect.stringMatching(/^the (source|destination) closed/),
      }),
    );
    signal.stopped = true;
    expect(inbox.receive()).toBe(false);
  });

  it('that is closed in the middle of a frame, at every byte of it, is a lost link', () => {
    const [[frame]] = kind.frames as [[Uint8Array, unknown]];
    for (let bytes = 1; bytes < frame.length; bytes++) {
      const { socket, drain } = setUp(kind);
      socket.put(frame.subarray(0, bytes));
      socket.isClosed = true;
      expect(drain).toThrow(expect.objectContaining({ code: 'LINK_LOST' }));
    }
  });

  it.each([...[REQUEST, PAGE, EXTENT, ZERO, END, RECEIVED, TRIAL, TRIED], 0, 0xffff_ffff])(
    'refuses a tag that is not its own, and one bit off: %d',
    (tag) => {
      const own = kind.frames.map(([bytes]) => Buffer.from(bytes).readUInt32LE());
      for (const wrong of [tag, (tag ^ 0x8000_0000) >>> 0, (tag ^ 1) >>> 0]) {
        if (own.includes(wrong)) continue;
        const { socket, drain } = setUp(kind);
        socket.put(words(wrong, 1, 1, 0).subarray(0, kind.headerBytes));
        expect(drain).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
      }
    },
  );
});

/** Of the stream of extents: whether its header is whole there, and its pages are not. */
function inExtent(cut: number): boolean {
  let at = 0;
  for (const [{ length }] of extents.frames) {
    if (cut >= at + extents.headerBytes && cut < at + length) return true;
    at += length;
  }
  return false;
}

describe('lengths', () => {
  it.each([0, 1, 64])('of a request: %d pages may be asked for', (count) => {
    const { socket, drain } = setUp(requests);
    const asked = Array.from({ length: count }, (_, i) => i);
    socket.put(request(0, ...asked));
    expect(drain()).toEqual([[2 ** 33, ...asked]]);
  });

  it.each([65, 0x1_0000, 0xffff_ffff])('of a request: %d pages are too many, which its header tells', (count) => {
    const { socket, drain } = setUp(requests);
    socket.put(words(REQUEST, count, 0, 0));
    expect(drain).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });

  it.each([1, 64])('of an extent: %d pages may come', (count) => {
    const { socket, drain } = setUp(extents);
    socket.put(Buffer.concat([extent(1, count), words(ZERO, 1, count, 0)]));
    expect(drain()).toEqual([
      [EXTENT, 1, count, ...Array<boolean>(count).fill(true)],
      [ZERO, 1, count],
    ]);
  });

  it.each([2, 0xffff_ffff])('of a trial on the urgent channel: not %d pages', (count) => {
    const { socket, drain } = setUp(pages);
    socket.put(words(TRIAL, count));
    expect(drain).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });

  it.each([65, 0xffff_ffff])('of a trial on a bulk channel, and of its answer: not %d pages', (count) => {
    for (const [kind, frame] of [
      [extents, words(TRIAL, 0, count, 0)],
      [tried, words(TRIED, count, 0, 0)],
    ] as [Kind<Inbox>, Uint8Array][]) {
      const { socket, drain } = setUp(kind);
      socket.put(frame);
      expect(drain).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
    }
  });

  it.each([0, 65, 0x1_0000, 0xffff_ffff])('of an extent: not %d', (count) => {
    for (const tag of [EXTENT, ZERO]) {
      const { socket, drain } = setUp(extents);
      socket.put(words(tag, 1, count, 0));
      expect(drain).toThrow(
        expect.objectContaining({
          code: 'BAD_PEER',
          message: `the source sent an extent of ${count} pages; 64 at most`,
        }),
      );
    }
  });
});

describe('an inbox of extents', () => {
  it('receives the rest of an extent and the next header, and puts pages where a page begins', () => {
    const { socket, inbox } = setUp(extents);
    socket.put(Buffer.concat([extent(1, 6), extent(7, 5)]));
    expect([inbox.receive(), inbox.next(), inbox.pagesHere]).toEqual([true, true, 0]);
    expect([inbox.receive(), inbox.pagesHere, inbox.contentAt(0)]).toEqual([true, 6, PAGE_BYTES]);
    expect([inbox.next(), inbox.first, inbox.pagesHere]).toEqual([true, 7, 0]);
    expect([inbox.receive(), inbox.pagesHere, inbox.contentAt(1)]).toEqual([true, 5, 2 * PAGE_BYTES]);
    expect(socket.asked).toEqual([
      [PAGE_BYTES - 16, 16],
      [PAGE_BYTES, 6 * PAGE_BYTES + 16],
      [PAGE_BYTES, 5 * PAGE_BYTES + 16],
    ]);
  });

  it('receives short ones together, and a long one behind them from its own header on', () => {
    const TOGETHER = 64 * 1024;
    const { socket, inbox } = setUp(extents);
    socket.put(Buffer.concat([extent(1, 1), words(ZERO, 5, 9, 0), extent(3, 1), extent(10, 6)]));
    expect([inbox.receive(), inbox.next(), inbox.pagesHere]).toEqual([true, true, 0]);
    expect([inbox.receive(), inbox.pagesHere, inbox.contentAt(0)]).toEqual([true, 1, PAGE_BYTES]);
    expect([inbox.next(), inbox.first, inbox.count]).toEqual([true, 5, 9]);
    expect([inbox.next(), inbox.first, inbox.contentAt(0)]).toEqual([true, 3, 2 * PAGE_BYTES + 32]);
    expect([inbox.next(), inbox.first, inbox.pagesHere, inbox.contentAt(5)]).toEqual([
      true,
      10,
      6,
      8 * PAGE_BYTES + 48,
    ]);
    expect(inbox.next()).toBe(false);
    expect(socket.asked).toEqual([
      [PAGE_BYTES - 16, 16],
      [PAGE_BYTES, TOGETHER - 16],
    ]);
    // What comes behind a long one is aligned again.
    socket.put(extent(20, 1));
    expect([inbox.receive(), inbox.next(), inbox.contentAt(0)]).toEqual([true, true, PAGE_BYTES]);
    expect(socket.asked.at(-1)).toEqual([PAGE_BYTES - 16, 16]);
  });

  it('counts the pages that are whole as they come', () => {
    const { socket, inbox } = setUp(extents);
    const bytes = extent(1, 3);
    socket.put(bytes.subarray(0, 16));
    inbox.receive();
    inbox.next();
    const here = [1, PAGE_BYTES - 1, PAGE_BYTES, 1, PAGE_BYTES - 1].map((more, i, sizes) => {
      const at = 16 + sizes.slice(0, i).reduce((sum, size) => sum + size, 0);
      socket.put(bytes.subarray(at, at + more));
      inbox.receive();
      return inbox.pagesHere;
    });
    expect(here).toEqual([0, 1, 2, 2, 3]);
  });
});

it('what is kept is moved when more is received, not before: a frame stays where it is while it is read', () => {
  const { socket, inbox } = setUp(received);
  socket.put(
    Buffer.concat([words(RECEIVED, 0, 1, 0), words(RECEIVED, 0, 2, 0), words(RECEIVED, 0, 3, 0).subarray(0, 5)]),
  );
  inbox.receive();
  expect([inbox.next(), inbox.received, inbox.next(), inbox.received, inbox.next()]).toEqual([true, 1, true, 2, false]);
  socket.put(words(RECEIVED, 0, 3, 0).subarray(5));
  inbox.receive();
  expect([inbox.next(), inbox.received, socket.asked.at(-1)]).toEqual([true, 3, [5, 4096 - 5]]);
});
