import { describe, expect, it } from 'vitest';
import { SentPages } from '../../../../src/migrate/source/sent-pages.js';
import type { NativeMemory } from '../../../../src/native.js';

/** Extents that one channel keeps. */
const ROOM = 65_536;

function setUp(): { sent: SentPages; released: [first: number, count: number][] } {
  const released: [number, number][] = [];
  const memory = { release: (first: number, count: number) => released.push([first, count]) };
  return { sent: new SentPages(memory as unknown as NativeMemory), released };
}

describe('SentPages', () => {
  it('releases what is acknowledged, and nothing else', () => {
    const { sent, released } = setUp();
    sent.add(10, 4);
    sent.add(100, 2);
    sent.add(50, 1);
    sent.release();
    expect(released).toEqual([]);
    sent.acknowledge(6);
    expect(released).toEqual([]);
    sent.release();
    expect(released).toEqual([
      [10, 4],
      [100, 2],
    ]);
    sent.release();
    expect(released).toHaveLength(2);
    expect([sent.received, sent.empty]).toEqual([6, false]);
  });

  it('keeps an extent until all of it is acknowledged', () => {
    const { sent, released } = setUp();
    sent.add(10, 4);
    sent.acknowledge(3);
    sent.release();
    expect(released).toEqual([]);
    sent.acknowledge(4);
    sent.release();
    expect([released, sent.empty]).toEqual([[[10, 4]], true]);
  });

  it('releases neighbours together, only upwards', () => {
    const { sent, released } = setUp();
    for (const [first, count] of [
      [8, 2],
      [10, 3],
      [13, 1],
      [7, 1],
      [20, 1],
      [21, 1],
    ] as const) {
      sent.add(first, count);
    }
    sent.acknowledge(9);
    sent.release();
    expect(released).toEqual([
      [8, 6],
      [7, 1],
      [20, 2],
    ]);
  });

  it('refuses an acknowledgement of what was not sent, or one that goes back', () => {
    const { sent, released } = setUp();
    const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
    expect(() => sent.acknowledge(1)).toThrow(badPeer);
    sent.add(0, 5);
    expect(() => sent.acknowledge(6)).toThrow(badPeer);
    expect(() => sent.acknowledge(2 ** 53)).toThrow(badPeer);
    sent.acknowledge(3);
    sent.acknowledge(3);
    expect(() => sent.acknowledge(2)).toThrow(badPeer);
    sent.release();
    expect([sent.received, released]).toEqual([3, []]);
  });

  it('goes round its ring, also many times', () => {
    const { sent, released } = setUp();
    let page = 0;
    let acknowledged = 0;
    // Every second page, so that no two are neighbours; a lag that is no divisor of the ring.
    for (let i = 0; i < ROOM * 2 + 10; i++) {
      sent.add((page += 2), 1);
      if (i % 1000 !== 999) continue;
      sent.acknowledge((acknowledged = i - 300));
      sent.release();
    }
    expect(released).toHaveLength(acknowledged);
    expect(released.every(([first, count], i) => first === (i + 1) * 2 && count === 1)).toBe(true);
  });

  it('is full at its size, takes no more then, and has room again after a release', () => {
    const { sent, released } = setUp();
    for (let i = 0; i < ROOM; i++) {
      expect(sent.full).toBe(false);
      sent.add(i * 2, 1);
    }
    expect(sent.full).toBe(true);
    expect(() => sent.add(1, 1)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
    sent.acknowledge(1);
    sent.release();
    expect([sent.full, released]).toEqual([false, [[0, 1]]]);
  });
});
