import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Depth } from '../../../../src/migrate/source/background-push.js';
import { PushDepth } from '../../../../src/migrate/flow/push-depth.js';
import type { SourceChannel } from '../../../../src/migrate/source/source-channel.js';
import { native, POLLIN, POLLOUT } from '../../../../src/native.js';
import { words } from '../../threads/channel-pair.js';
import { badPeer, parse, received, RECEIVED, setUp, straightOn } from './push-rig.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('what the destination acknowledges', () => {
  it('is given back, in blocks, after the hand-over', () => {
    const { fill, run, feed, signal, released, channel } = setUp();
    fill(0, 64);
    fill(511, 2, true);
    signal.handOver();
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
    const { fill, run, feed, signal, channel } = setUp();
    fill(0, 64);
    signal.handOver();
    run();
    const stream = Buffer.concat([received(3), received(3), received(64)]);
    const seen = [...stream].map((byte) => (feed(Uint8Array.of(byte)), channel.sent.received));
    expect(seen).toEqual([...Array(15).fill(0), ...Array(32).fill(3), 64]);
  });

  it('may come many at once', () => {
    const { fill, run, feed, signal, channel } = setUp();
    fill(0, 64);
    signal.handOver();
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
    const { fill, push, run, feed, signal, other, channel, events } = setUp(({ sent, socket }) => {
      socket.configure({ sendBuffer: 16 * 1024 });
      return { sent: withLimit(sent) };
    });
    fill(0, 64);
    fill(100, 1);
    signal.handOver();
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
    const { fill, run, feed, signal, released } = setUp();
    fill(0, 64);
    signal.handOver();
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
    const { fill, run, feed, signal } = setUp();
    fill(0, 64);
    signal.handOver();
    run();
    feed(received(10));
    expect(() => feed(received(9))).toThrow(badPeer);
  });
});

describe('how much is in flight', () => {
  /** The clock stands at `micros` from now on. */
  const at = (micros: number) => vi.spyOn(native, 'monotonicMicros').mockReturnValue(micros);

  it('is three extents of four pages, until acknowledgements come', () => {
    const { fill, push, run, signal, events, channel, unsent } = setUp(undefined, new PushDepth());
    fill(0, 100);
    signal.handOver();
    expect(parse(run())).toEqual([
      ['EXTENT', 0, 4],
      ['EXTENT', 4, 4],
      ['EXTENT', 8, 4],
    ]);
    expect([push.step(), events(), unsent.next(0), channel.counters.get('pages')]).toEqual([false, POLLIN, 12, 12]);
  });

  it('counts pages of zeroes as well', () => {
    const { fill, run, signal } = setUp(undefined, new PushDepth());
    fill(0, 100, true);
    signal.handOver();
    expect(parse(run())).toEqual([
      ['ZERO', 0, 4],
      ['ZERO', 4, 4],
      ['ZERO', 8, 4],
    ]);
  });

  it('follows the rate and the round trip that acknowledgements tell', () => {
    const { fill, run, other, signal } = setUp(undefined, new PushDepth());
    fill(0, 300);
    signal.handOver();
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
    const { fill, run, other, signal } = setUp(undefined, new PushDepth());
    fill(0, 12);
    signal.handOver();
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
    const { fill, run, other, signal } = setUp(undefined, depth);
    fill(0, 3);
    fill(3, 70, true);
    signal.handOver();
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
