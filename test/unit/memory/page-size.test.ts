import { describe, expect, it } from 'vitest';
import * as pages from '../../../src/memory/page-size.js';

describe('page arithmetic', () => {
  it('rounds up to pages', () => {
    expect([0, 1, 4096, 4097].map(pages.pagesFor)).toEqual([0, 1, 1, 2]);
    expect([0, 1, 4096, 4097].map(pages.pageAlignUp)).toEqual([0, 4096, 4096, 8192]);
  });

  it('rounds down, also beyond 32 bits', () => {
    expect(pages.pageAlignDown(0x1_0000_0fff)).toBe(0x1_0000_0000);
    expect(pages.pageOf(0x1_0000_0fff)).toBe(0x10_0000);
    expect(pages.bytesOfPages(0x10_0000)).toBe(0x1_0000_0000);
  });

  it('tells alignment', () => {
    expect([0, 4096, 1, 0x1_0000_0000, 0x1_0000_0001].map(pages.isPageAligned)).toEqual([
      true,
      true,
      false,
      true,
      false,
    ]);
  });
});

describe('forBlocks', () => {
  const parts = (first: number, count: number) => {
    const seen: [block: number, pages: number][] = [];
    pages.forBlocks(first, count, (...part) => seen.push(part));
    return seen;
  };

  it.each<[number, number, [number, number][]]>([
    [0, 0, []],
    [700, 0, []],
    [0, 1, [[0, 1]]],
    [511, 1, [[0, 1]]],
    [512, 512, [[1, 512]]],
    [
      511,
      2,
      [
        [0, 1],
        [1, 1],
      ],
    ],
    [
      500,
      1100,
      [
        [0, 12],
        [1, 512],
        [2, 512],
        [3, 64],
      ],
    ],
    [
      2 ** 31,
      513,
      [
        [2 ** 22, 512],
        [2 ** 22 + 1, 1],
      ],
    ],
  ])('%d, %d pages', (first, count, blocks) => {
    expect(pages.BLOCK_PAGES).toBe(512);
    expect(parts(first, count)).toEqual(blocks);
  });
});
