import { describe, expect, it } from 'vitest';
import { FaultTrail } from '../../../../src/migrate/prefetch/fault-trail.js';

/** As many as it holds. */
const ROOM = 1 << 14;

function follower(trail: FaultTrail): () => number[] {
  return () => {
    const faulted: number[] = [];
    trail.follow({ faulted: (page) => faulted.push(page) });
    return faulted;
  };
}

describe('FaultTrail', () => {
  it('tells every reader of each page once, in order', () => {
    const trail = new FaultTrail();
    const [here, there] = [follower(new FaultTrail(trail.buffer)), follower(new FaultTrail(trail.buffer))];
    expect(here()).toEqual([]);
    [7, 3, 0xffff_fff0].forEach((page) => trail.add(page, 0));
    expect([here(), here()]).toEqual([[7, 3, 0xffff_fff0], []]);
    trail.add(7, 0);
    expect([here(), there()]).toEqual([[7], [7, 3, 0xffff_fff0, 7]]);
  });

  it('keeps the last ones for a reader that is behind', () => {
    const trail = new FaultTrail();
    const read = follower(trail);
    const pages = Array.from({ length: ROOM + 5 }, (_, page) => page);
    pages.forEach((page) => trail.add(page, 0));
    expect(read()).toEqual(pages.slice(5));
    trail.add(1, 0);
    expect(read()).toEqual([1]);
  });

  it('tells when, by a clock of 32 bits, and how many a reader has missed', () => {
    const trail = new FaultTrail();
    const told: number[][] = [];
    const follow = () => trail.follow({ faulted: (page, at) => told.push([page, at]) });
    trail.add(3, 5 * 2 ** 32 + 17.5);
    expect([follow(), follow(), told]).toEqual([0, 0, [[3, 17]]]);
    for (let i = 0; i < ROOM + 5; i++) trail.add(i, i);
    expect([follow(), told.length]).toEqual([5, 1 + ROOM]);
  });

  it('goes on where the number of pages wraps', () => {
    const trail = new FaultTrail();
    const words = new Uint32Array(trail.buffer);
    words[2 * ROOM] = 0xffff_fffe;
    const read = follower(trail);
    read();
    [1, 2, 3, 4].forEach((page) => trail.add(page, 0));
    expect(read()).toEqual([1, 2, 3, 4]);
  });
});
