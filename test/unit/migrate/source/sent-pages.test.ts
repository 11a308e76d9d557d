import { describe, expect, it } from 'vitest';
import type { BlockRelease } from '../../../../src/migrate/source/release.js';
import { SentPages } from '../../../../src/migrate/source/sent-pages.js';

/** Extents that one channel keeps. */
const ROOM = 65_536;

/** What the blocks are told of, in order. `given`: pages that each telling gives back. */
function setUp(given = 0): { sent: SentPages; told: [first: number, count: number][] } {
  const told: [number, number][] = [];
  const acknowledged = (first: number, count: number) => (told.push([first, count]), given);
  return { sent: new SentPages({ acknowledged } as unknown as BlockRelease), told };
}

describe('SentPages', () => {
  it('lets go of what is acknowledged, oldest first, and of nothing else', () => {
    const { sent, told } = setUp();
    sent.add(10, 4);
    sent.add(100, 2);
    sent.add(50, 1);
    sent.release();
    expect(told).toEqual([]);
    sent.acknowledge(6);
    expect(told).toEqual([]);
    sent.release();
    expect(told).toEqual([
      [10, 4],
      [100, 2],
    ]);
    sent.release();
    expect(told).toHaveLength(2);
    expect([sent.received, sent.empty]).toEqual([6, false]);
  });

  it('keeps an extent until all of it is acknowledged', () => {
    const { sent, told } = setUp();
    sent.add(10, 4);
    sent.acknowledge(3);
    sent.release();
    expect(told).toEqual([]);
    sent.acknowledge(4);
    sent.release();
    expect([told, sent.empty]).toEqual([[[10, 4]], true]);
  });

  it('forgets what is acknowledged before the hand-over: it is given back on no account', () => {
    const { sent, told } = setUp(512);
    sent.add(10, 4);
    sent.add(20, 2);
    sent.acknowledge(5);
    sent.forget();
    sent.acknowledge(6);
    sent.forget();
    sent.add(10, 4);
    sent.acknowledge(10);
    sent.release();
    expect([told, sent.released, sent.received, sent.empty]).toEqual([[[10, 4]], 512, 10, true]);
  });

  it('counts what is given back on its account', () => {
    const { sent } = setUp(512);
    sent.add(0, 4);
    sent.add(4, 4);
    sent.add(8, 4);
    sent.acknowledge(8);
    expect(sent.released).toBe(0);
    sent.release();
    expect(sent.released).toBe(1024);
    sent.acknowledge(12);
    sent.release();
    sent.release();
    expect(sent.released).toBe(1536);
  });

  it('refuses an acknowledgement of what was not sent, or one that goes back', () => {
    const { sent, told } = setUp();
    const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
    expect(() => sent.acknowledge(1)).toThrow(badPeer);
    sent.add(0, 5);
    expect(() => sent.acknowledge(6)).toThrow(badPeer);
    expect(() => sent.acknowledge(2 ** 53)).toThrow(badPeer);
    sent.acknowledge(3);
    sent.acknowledge(3);
    expect(() => sent.acknowledge(2)).toThrow(badPeer);
    sent.release();
    expect([sent.received, told]).toEqual([3, []]);
  });

  it('goes round its ring, also many times', () => {
    const { sent, told } = setUp();
    let page = 0;
    let acknowledged = 0;
    // A lag that is no divisor of the ring.
    for (let i = 0; i < ROOM * 2 + 10; i++) {
      sent.add((page += 2), 1);
      if (i % 1000 !== 999) continue;
      sent.acknowledge((acknowledged = i - 300));
      sent.release();
    }
    expect(told).toHaveLength(acknowledged);
    expect(told.every(([first, count], i) => first === (i + 1) * 2 && count === 1)).toBe(true);
  });

  it('is full at its size, takes no more then, and has room again after a release', () => {
    const { sent, told } = setUp();
    for (let i = 0; i < ROOM; i++) {
      if (sent.full) throw new Error(`full at ${i}`);
      sent.add(i * 2, 1);
    }
    expect(sent.full).toBe(true);
    expect(() => sent.add(1, 1)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
    sent.acknowledge(1);
    expect(sent.full).toBe(true);
    sent.release();
    expect([sent.full, told]).toEqual([false, [[0, 1]]]);
  });
});
