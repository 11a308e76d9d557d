import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import { Rounds } from '../../../../src/migrate/destination/rounds.js';

const PAGES = 100;
const nothing = new Uint32Array(0);
const badPeer = (text: string) => expect.objectContaining({ code: 'BAD_PEER', message: expect.stringContaining(text) });

describe('Rounds', () => {
  it('give back for pages of zeroes what has something in it, and nothing else', () => {
    const rounds = new Rounds(PAGES);
    rounds.wrote(3, 2);
    rounds.wrote(8, 1);
    const given: [number, number][] = [];
    const giveBack = (first: number, count: number) => void given.push([first, count]);
    rounds.zeroed(0, 20, giveBack);
    rounds.zeroed(0, 20, giveBack);
    expect(given).toEqual([
      [3, 2],
      [8, 1],
    ]);
    rounds.wrote(4, 1);
    rounds.zeroed(4, 1, giveBack);
    expect(given.at(-1)).toEqual([4, 1]);
  });

  it('leave nothing where pages are to come, or where what came does not count any more', () => {
    const rounds = new Rounds(PAGES);
    rounds.wrote(0, 10); // 2 and 3 are dropped, 4 is dirty
    rounds.zeroed(20, 5, () => {}); // 22 is dirty
    expect(rounds.end(Uint32Array.of(0, 2, 5, 5, 20, 2, 23, 2), Uint32Array.of(4, 1, 22, 1, 90, 10))).toEqual(
      Uint32Array.of(2, 3, 22, 1, 90, 10),
    );
  });

  it('are over in every thread', () => {
    const rounds = new Rounds(PAGES);
    const elsewhere = new Rounds(PAGES, rounds.maps);
    elsewhere.wrote(7, 1);
    expect(elsewhere.gate.enter()).toBe(true);
    elsewhere.gate.leave();
    expect(rounds.end(Uint32Array.of(7, 1), nothing)).toEqual(nothing);
    expect(elsewhere.gate.enter()).toBe(false);
  });

  it.each<[string, number[], number[], string]>([
    ['that have not come are said to be here', [3, 3], [], 'not all come, among 3 to 5'],
    ['of which none has come are said to be here', [50, 1], [], 'not all come, among 50 to 50'],
    ['are said to be here and to come', [3, 2], [0, 4], 'both here and to come, among 0 to 3'],
  ])('refuse STATE when pages %s', (_, held, lacking, why) => {
    const rounds = new Rounds(PAGES);
    rounds.wrote(3, 2);
    expect(() => rounds.end(Uint32Array.from(held), Uint32Array.from(lacking))).toThrow(badPeer(why));
  });

  it('end as their rule says, whatever came and counts', () => {
    const run = fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 20 }));
    const runs = fc.array(run, { maxLength: 6 });
    fc.assert(
      fc.property(runs, runs, runs, runs, (wrote, zero, dropped, dirty) => {
        const rounds = new Rounds(PAGES);
        const [came, written, held, lacking] = Array.from({ length: 4 }, () => new Set<number>());
        const pagesOf = (all: [number, number][]) =>
          all
            .flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i))
            .filter((it) => it < PAGES);
        for (const page of pagesOf(wrote)) {
          rounds.wrote(page, 1);
          came!.add(page);
          written!.add(page);
        }
        for (const page of pagesOf(zero)) {
          rounds.zeroed(page, 1, () => expect(written!.has(page)).toBe(true));
          came!.add(page);
          written!.delete(page);
        }
        for (const page of came!) held!.add(page);
        for (const page of pagesOf(dirty)) lacking!.add(page);
        for (const page of [...pagesOf(dropped), ...lacking!]) held!.delete(page);
        const stale = rounds.end(extentsOf(held!), extentsOf(lacking!));
        const expected = new Set([...lacking!, ...[...written!].filter((page) => !held!.has(page))]);
        expect(stale).toEqual(extentsOf(expected));
      }),
    );
  });
});

function extentsOf(pages: Set<number>): Uint32Array {
  const map = new PageBitmap(PAGES);
  for (const page of pages) map.set(page);
  return map.extents();
}
