import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { native } from '../../../../src/native.js';
import { words } from '../../threads/channel-pair.js';
import { parse, setUp } from './push-rig.js';

/** Bytes per second, at which a frame of one page takes 4.112 ms. */
const RATE = 1_000_000;
const PAGE_MICROS = 4112;

let now: number;
beforeEach(() => {
  now = 1_000_000;
  vi.spyOn(native, 'monotonicMicros').mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** `rate`: RATE if none is given. */
function limited({ rate }: { rate: number | undefined } = { rate: RATE }) {
  const setting = setUp();
  setting.channel.limit.set(rate, now);
  setting.signal.handOver();
  return setting;
}

describe('the push with a limit', () => {
  it('sends a frame, and says when it goes on', () => {
    const { fill, push, run } = limited();
    fill(0, 3);
    const frames = [];
    for (let i = 0; i < 5; i++) {
      frames.push([parse(run()), push.dueMs]);
      now += PAGE_MICROS;
    }
    expect(frames).toEqual([
      [[['EXTENT', 0, 1]], 5],
      [[['EXTENT', 1, 1]], 5],
      [[['EXTENT', 2, 1]], 5],
      [[['END']], 0],
      [[], 0],
    ]);
  });

  it('leaves what it does not send yet to whoever is asked for it', () => {
    const { fill, run, push, another } = limited();
    fill(0, 300);
    run();
    expect(push.dueMs).toBeGreaterThan(0);
    const urgent = another();
    const server = new PageServer(urgent.channel, 0);
    urgent.other.put(words(0x51455250, 3, 0, 0, 1, 2, 299));
    server.step();
    expect(urgent.other.take().length).toBe(3 * 4104);
    now += PAGE_MICROS;
    expect(parse(run())).toEqual([['EXTENT', 3, 1]]);
  });

  it('tells of zeroes for what they cost', () => {
    const { fill, run } = limited();
    fill(0, 10, true);
    fill(10, 1);
    // 10 headers take 160 us, and nobody sleeps for less than what was not used before.
    const frames = [];
    for (let i = 0; i < 12; i++, now += 16) frames.push(...parse(run()));
    expect(frames.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, page) => ['ZERO', page, 1]));
    expect(frames.slice(10)).toEqual([['EXTENT', 10, 1]]);
  });

  it('goes on at once when the limit is lifted', () => {
    const { fill, run, channel } = limited({ rate: 65_536 });
    fill(0, 200);
    expect(parse(run())).toEqual([['EXTENT', 0, 1]]);
    expect(run().length).toBe(0);
    channel.limit.set(undefined, now);
    expect(parse(run())).toEqual([
      ['EXTENT', 1, 64],
      ['EXTENT', 65, 64],
      ['EXTENT', 129, 64],
      ['EXTENT', 193, 7],
      ['END'],
    ]);
  });

  it('sends what it has claimed before a limit was set: somebody may wait for it', () => {
    const { fill, run, push, channel, other } = limited({ rate: undefined });
    // More frames than go at once.
    for (let page = 0; page < 65; page++) fill(page, 1, page % 2 === 0);
    push.step();
    const first = parse(other.take());
    expect(first.length).toBeLessThan(64);
    channel.limit.set(65_536, now);
    expect([...first, ...parse(run())]).toEqual(
      Array.from({ length: 64 }, (_, page) => [page % 2 === 0 ? 'ZERO' : 'EXTENT', page, 1]),
    );
    expect(push.dueMs).toBe(20);
    now += 5_000_000;
    expect(parse(run())).toEqual([['ZERO', 64, 1], ['END']]);
  });

  it('waits for no time before the hand-over, or with nothing to send', () => {
    const { push, channel, signal, fill } = setUp();
    fill(0, 1);
    channel.limit.set(RATE, now);
    channel.limit.charge(1 << 20, now);
    push.step();
    expect([push.dueMs, signal.handedOver]).toEqual([0, false]);
  });

  it('shares it with all channels', () => {
    const { fill, run, push, channel } = limited();
    fill(0, 2);
    channel.limit.charge(10_000, now);
    expect([run().length, push.dueMs]).toEqual([0, 10]);
    now += 10_000;
    expect(parse(run())).toEqual([['EXTENT', 0, 1]]);
  });
});
