import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import { PLACES_MAX, RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import { WriteHistory } from '../../../../src/migrate/prefetch/write-history.js';

const PAGES = 4000;
type Place = [first: number, pages: number];

function told(spans: number[][], among?: number[], pages = PAGES): Place[] {
  const history = new WriteHistory(pages);
  for (const span of spans) history.add(Uint32Array.from(span));
  const recent = new RecentPages(pages);
  history.tell(recent, among === undefined ? undefined : PageBitmap.of(pages, Uint32Array.from(among)));
  // As another thread has them.
  const there = new RecentPages(recent.buffer);
  return Array.from({ length: there.count }, (_, i) => [there.first(i), there.pages(i)]);
}

describe('WriteHistory', () => {
  it('tells of nothing as long as nothing was written', () => {
    expect(told([])).toEqual([]);
    expect(told([[], []])).toEqual([]);
  });

  it('has those first that were written in most spans, and of the others the last ones', () => {
    const [often, twice, old, last] = [100, 700, 900, 1200];
    const spans = [
      [often, 32, old, 32],
      [often, 32, twice, 32],
      [often, 32, twice, 32, last, 32],
    ];
    expect(told(spans).map(([first]) => first)).toEqual([often, twice, last, old]);
  });

  it('takes what lies between pages of one place for its own, and a page far from all others for cold', () => {
    const span = [50, 1, ...[500, 503, 506, 511].flatMap((page) => [page, 2])];
    expect(told([span, span])).toEqual([
      [500, 13],
      [50, 1],
    ]);
  });

  it('tells of cold pages only while they are few', () => {
    const scattered = (count: number) => Array.from({ length: count }, (_, i) => [i * 20, 1]).flat();
    expect(told([scattered(100)])).toHaveLength(100);
    expect(told([scattered(600)], undefined, 20_000)).toEqual([]);
  });

  it('tells of the pages that are asked about only', () => {
    expect(told([[0, 64, 1000, 64]], [1010, 500])).toEqual([[1010, 54]]);
    expect(told([], [0, 10])).toEqual([]);
  });

  it('tells of every page once at most, in places of a block, whatever was written', () => {
    const extent = fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 300 })).map(([first, pages]) => {
      return [first, Math.min(pages, PAGES - first)];
    });
    const spans = fc.array(
      fc.array(extent, { maxLength: 20 }).map((extents) => extents.flat()),
      { maxLength: 7 },
    );
    fc.assert(
      fc.property(spans, (written) => {
        const seen = new PageBitmap(PAGES);
        for (const [first, pages] of told(written)) {
          expect(pages).toBeGreaterThan(0);
          expect(pages).toBeLessThanOrEqual(64);
          expect(seen.setRange(first, pages)).toBe(pages);
        }
      }),
    );
  });
});

describe('RecentPages', () => {
  it('have room for so many places, and leave the others out', () => {
    const recent = new RecentPages(2 ** 28);
    const half = Uint32Array.from({ length: PLACES_MAX + 2 }, (_, i) => i);
    recent.add(half);
    recent.add(half);
    recent.add(half);
    expect(recent.count).toBe(PLACES_MAX);
    expect([recent.first(PLACES_MAX - 1), recent.pages(0)]).toEqual([PLACES_MAX - 4, 1]);
    expect(recent.buffer.byteLength).toBeLessThan(2.1 * 2 ** 20);
  });
});
