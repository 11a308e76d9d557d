/** What the other end of a migration sends on its page channels. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../src/memory/page-bitmap.js';
import { SourcePages } from '../../../src/memory/page-states.js';
import { BulkReceiver } from '../../../src/migrate/destination/pages/bulk-receiver.js';
import { FaultHandler } from '../../../src/migrate/destination/pages/fault-handler.js';
import { RoundWriter } from '../../../src/migrate/destination/pages/round-writer.js';
import { SwitchingSink } from '../../../src/migrate/destination/pages/switching-sink.js';
import { UrgentSupply } from '../../../src/migrate/destination/pages/urgent-supply.js';
import { Rounds } from '../../../src/migrate/destination/rounds.js';
import { FaultTrail } from '../../../src/migrate/prefetch/fault-trail.js';
import { inOrder } from '../../../src/migrate/prefetch/in-order.js';
import { RecentPages } from '../../../src/migrate/prefetch/recent-pages.js';
import { RateLimit } from '../../../src/migrate/flow/rate-limit.js';
import { Counters } from '../../../src/migrate/report/counters.js';
import { BackgroundPush } from '../../../src/migrate/source/background-push.js';
import { PageServer } from '../../../src/migrate/source/page-server.js';
import { BlockRelease } from '../../../src/migrate/source/release.js';
import { RoundSignal } from '../../../src/migrate/source/round-signal.js';
import { SentPages } from '../../../src/migrate/source/sent-pages.js';
import type { ChannelTask } from '../../../src/threads/channel-loop.js';
import { GoSignal } from '../../../src/threads/go-signal.js';
import type { NativeMemory, Socket } from '../../../src/native.js';
import { fakeDestination } from '../migrate/destination/pages/fake-userfaultfd.js';
import { words } from '../threads/channel-pair.js';
import { bytesLike, fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError, pieces } from './fuzz.js';

const PAGES = 70;
const PAGE_BYTES = 4096;
const [REQUEST, PAGE, EXTENT, ZERO, END, RECEIVED] = ['PREQ', 'PAGE', 'PXTT', 'ZERO', 'PEND', 'PRCV'].map((tag) =>
  Buffer.from(tag).readUInt32LE(),
) as [number, number, number, number, number, number];

/** Pieces of any length, a page's among them. */
const lengths = fc.array(fc.oneof(fc.nat(20), fc.integer({ min: 1, max: 3 * PAGE_BYTES })), { maxLength: 8 });
/** Runs of pages that hold data. */
const held = fc.array(fc.tuple(fc.nat(PAGES - 1), fc.nat(40)), { maxLength: 4 });

function content(pages: number): Uint8Array {
  return new Uint8Array(pages * PAGE_BYTES).fill(0xab);
}

function frame(header: Uint8Array, pages = 0): Uint8Array {
  return Buffer.concat([header, content(pages)]);
}

/** Runs in any order, as a RAM map has them. */
function extentsOf(runs: readonly [number, number][]): Uint32Array {
  const map = new PageBitmap(PAGES);
  for (const [first, count] of runs) map.setRange(first, Math.min(count, PAGES - first));
  return map.extents();
}

/** The other end has sent these parts, and takes all that is sent. */
class FakeSocket {
  readonly fd = 5;
  #parts: Uint8Array[];
  sent = 0;

  constructor(parts: Iterable<Uint8Array>) {
    this.#parts = [...parts].filter(({ length }) => length > 0);
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  receive(into: Uint8Array, offset: number, minimum: number, maximum: number, timeoutMs: number): number {
    if (minimum !== 0 || timeoutMs !== 0 || maximum <= 0 || offset + maximum > into.length) {
      throw new RangeError(`receive() of ${maximum} at ${offset}`);
    }
    const first = this.#parts.shift();
    if (first === undefined) return -1;
    if (first.length > maximum) this.#parts.unshift(first.subarray(maximum));
    into.set(first.subarray(0, maximum), offset);
    return Math.min(first.length, maximum);
  }

  send(bytes: Uint8Array, offset: number, length: number): void {
    if (offset + length > bytes.length) throw new RangeError('outside of the frame');
    this.sent += length;
  }

  sendPages(_: NativeMemory, headers: Uint8Array, headerBytes: number, extents: Uint32Array, count: number): void {
    this.sent += checkedPages(headers, headerBytes, extents, count);
  }

  trySendPages(
    _: NativeMemory,
    headers: Uint8Array,
    headerBytes: number,
    extents: Uint32Array,
    count: number,
    skip: number,
  ): number {
    return headerBytes * count + checkedPages(headers, headerBytes, extents, count) * PAGE_BYTES - skip;
  }
}

/** As the addon checks them; the pages. */
function checkedPages(headers: Uint8Array, headerBytes: number, extents: Uint32Array, count: number): number {
  if (count * headerBytes > headers.length || 2 * count > extents.length) throw new RangeError('too many extents');
  let pages = 0;
  for (let i = 0; i < count; i++) {
    if (extents[2 * i]! + extents[2 * i + 1]! > PAGES) throw new RangeError('pages outside of guest RAM');
    pages += extents[2 * i + 1]!;
  }
  return pages;
}

/** Until the task has taken all, or refuses some. A task that has nothing to do says so. */
function drain(task: ChannelTask, socket: FakeSocket): void {
  onlyPostcopyError(() => {
    for (let steps = 0; task.step() || !socket.isEmpty; steps++) if (steps > 100_000) throw new Error('it never ends');
    task.idle();
  });
}

describe('page channels of a destination', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const setUp = (runs: readonly [number, number][], room: number) => {
    const destination = fakeDestination(PAGES);
    for (const [first, count] of runs) destination.expectPages(first, Math.min(count, PAGES - first));
    destination.userfaultfd.room = room;
    return destination;
  };
  const room = fc.oneof({ weight: 5, arbitrary: fc.constant(Infinity) }, fc.nat(30));

  it('install what was to come, once, whatever is sent on a bulk channel', () => {
    const samples = [
      frame(words(EXTENT, 0, 1, 0), 1),
      frame(words(EXTENT, 3, 5, 0), 5),
      frame(words(EXTENT, 1, 64, 0), 64),
      words(ZERO, 8, 20, 0),
      words(ZERO, 0, 1, 0),
      words(END, 0, 0, 0),
    ];
    fuzz(
      fc.property(bytesLike(samples, 4), lengths, held, room, (stream, cut, runs, left) => {
        const { installer, userfaultfd, parts } = setUp(runs, left);
        const missing = new PageBitmap(PAGES, parts.pages.maps.missing).copy();
        const before = parts.pages.left;
        const socket = new FakeSocket(pieces(stream, cut));
        const task = new BulkReceiver(socket as unknown as Socket, installer, new GoSignal());
        if (left === Infinity) drain(task, socket);
        else onlyPostcopyError(() => void Array.from({ length: 200 }, () => task.step()));
        for (const page of userfaultfd.present) expect(missing.has(page)).toBe(true);
        expect(before - parts.pages.left).toBe(installer.installed);
        for (const [name, first, count] of userfaultfd.calls) {
          expect([name, first + count <= PAGES]).toEqual([name, true]);
        }
      }),
    );
  });

  it('write what comes in rounds, and install what was to come behind them, whatever is sent', () => {
    const samples = [
      frame(words(EXTENT, 0, 1, 0), 1),
      frame(words(EXTENT, 3, 5, 0), 5),
      words(ZERO, 2, 20, 0),
      frame(words(EXTENT, 1, 64, 0), 64),
      words(END, 0, 0, 0),
    ];
    const steps = fc.nat(12);
    fuzz(
      fc.property(bytesLike(samples, 4), lengths, held, held, steps, (stream, cut, here, lacking, before) => {
        const { installer, userfaultfd, parts } = setUp([], Infinity);
        const written = new PageBitmap(PAGES);
        let over = false;
        const touched = (first: number, count: number) => {
          expect([over, first + count <= PAGES]).toEqual([false, true]);
          written.setRange(first, count);
        };
        const memory = {
          write: (offset: number, from: Uint8Array) => touched(offset / PAGE_BYTES, from.length / PAGE_BYTES),
          release: touched,
        };
        const rounds = new Rounds(PAGES);
        const socket = new FakeSocket(pieces(stream, cut));
        const sink = new SwitchingSink(new RoundWriter(memory, rounds), installer);
        const task = new BulkReceiver(socket as unknown as Socket, sink, new GoSignal());
        onlyPostcopyError(() => {
          for (let step = 0; step < before; step++) task.step();
          const missing = extentsOf(lacking);
          const stale = rounds.end(extentsOf(here), missing);
          over = true;
          for (let i = 0; i < missing.length; i += 2) parts.pages.expect(missing[i]!, missing[i + 1]!);
          const empty = new PageBitmap(PAGES);
          for (let i = 0; i < stale.length; i += 2) empty.setRange(stale[i]!, stale[i + 1]!);
          for (let page = 0; page < PAGES; page++) if (parts.pages.isMissing(page)) expect(empty.has(page)).toBe(true);
          const toCome = new PageBitmap(PAGES, parts.pages.maps.missing).copy();
          drain(task, socket);
          for (const page of userfaultfd.present) expect(toCome.has(page)).toBe(true);
        });
      }),
    );
  });

  it('the same on the urgent channel, whoever waits', () => {
    const samples = [0, 1, 5, 69, 70, 0xffff_ffff].map((page) => frame(words(PAGE, page), 1));
    const faults = fc.array(fc.nat(PAGES - 1), { maxLength: 70 });
    fuzz(
      fc.property(bytesLike(samples, 5), lengths, held, faults, (stream, cut, runs, touched) => {
        const { installer, userfaultfd, parts } = setUp(runs, Infinity);
        const missing = new PageBitmap(PAGES, parts.pages.maps.missing).copy();
        userfaultfd.faults.push(...touched);
        const socket = new FakeSocket(pieces(stream, cut));
        const signal = new GoSignal();
        const supply = new UrgentSupply(socket as unknown as Socket, installer, signal);
        drain(new FaultHandler(parts, supply, signal), socket);
        for (const [name, first, count] of userfaultfd.calls) {
          // What holds nothing is zero; what is to come comes, or is waited for.
          if (name === 'zero') expect(missing.has(first) && parts.pages.isMissing(first)).toBe(false);
          if (name === 'copy') expect([missing.has(first), count]).toEqual([true, 1]);
        }
      }),
    );
  });
});

describe('page channels of a source', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const setUp = (runs: readonly [number, number][], stream: Uint8Array, cut: readonly number[]) => {
    const released: number[] = [];
    const memory = {
      release: (first: number) => released.push(first),
      zeroRun: (_: number, count: number) => -count,
    } as unknown as NativeMemory;
    const pages = new SourcePages(PAGES);
    const blocks = new BlockRelease(memory, pages);
    const offered = new PageBitmap(PAGES);
    for (const [first, count] of runs) {
      for (let page = first; page < Math.min(PAGES, first + count); page++) {
        if (offered.set(page)) blocks.offer(page, 1);
      }
    }
    const socket = new FakeSocket(pieces(stream, cut));
    const [signal, sent] = [new GoSignal(), new SentPages(blocks)];
    const parts = {
      memory,
      pages,
      signal,
      sent,
      rounds: new RoundSignal(),
      tellsLost: true,
      trail: new FaultTrail(),
      recent: new RecentPages(PAGES),
      counters: new Counters(),
      limit: new RateLimit(),
    };
    return { channel: { ...parts, socket: socket as unknown as Socket }, socket, released, offered };
  };

  it('send what is asked for, once, and free what was acknowledged, whatever comes on the urgent channel', () => {
    const samples = [
      words(REQUEST, 0, 0, 0),
      words(REQUEST, 3, 0, 0, 1, 2, 69),
      words(REQUEST, 1, 8, 0, 5),
      words(REQUEST, 64, 0, 0, ...Array.from({ length: 64 }, (_, page) => page)),
      words(REQUEST, 0, 70, 0),
    ];
    fuzz(
      fc.property(bytesLike(samples, 5), lengths, held, fc.boolean(), (stream, cut, runs, isHandedOver) => {
        const { channel, socket, released, offered } = setUp(runs, stream, cut);
        if (isHandedOver) channel.signal.handOver();
        drain(new PageServer(channel), socket);
        expect(channel.sent.received).toBeLessThanOrEqual(socket.sent);
        if (!isHandedOver || !channel.pages.allAcknowledged || offered.next(0) < 0) expect(released).toEqual([]);
      }),
    );
  });

  it('push all of it, whatever is acknowledged on a bulk channel', () => {
    const samples = [0, 1, 7, 30, 70, 0x7fff_ffff].map((count) => words(RECEIVED, 0, count, 0));
    fuzz(
      fc.property(bytesLike(samples, 5), lengths, held, (stream, cut, runs) => {
        const { channel, socket, released, offered } = setUp(runs, stream, cut);
        channel.signal.handOver();
        const open = { extentPages: 8, open: true, sent: () => {}, acknowledged: () => {} };
        drain(new BackgroundPush(channel, inOrder, open), socket);
        if (!channel.pages.allAcknowledged || offered.next(0) < 0) expect(released).toEqual([]);
      }),
    );
  });
});
