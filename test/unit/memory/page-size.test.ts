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
