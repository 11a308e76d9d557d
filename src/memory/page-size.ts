/** All page arithmetic. A page is 4 KiB everywhere: guest RAM, userfaultfd, the wire. */

const PAGE_SHIFT = 12;
/** Bytes in a page. */
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/** Bytes that one entry of a page directory maps with its PS bit set (Intel SDM vol. 3, 4.5). */
export const LARGE_PAGE_SIZE = 2 * 1024 * 1024;

/** Pages that one huge page holds; a block is as many, aligned. */
export const BLOCK_PAGES = LARGE_PAGE_SIZE / PAGE_SIZE;

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

// Division, not shifts: addresses and sizes go beyond 32 bits.

/** Pages that hold `bytes`, the last one perhaps in part. */
export function pagesFor(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE);
}

export function bytesOfPages(pages: number): number {
  return pages * PAGE_SIZE;
}

/** The number of the page that holds the byte at `address`. */
export function pageOf(address: number): number {
  return Math.floor(address / PAGE_SIZE);
}

export function isPageAligned(address: number): boolean {
  return address % PAGE_SIZE === 0;
}

export function pageAlignDown(address: number): number {
  return pageOf(address) * PAGE_SIZE;
}

export function pageAlignUp(address: number): number {
  return pagesFor(address) * PAGE_SIZE;
}

/** Whole MiB that hold `bytes`, for messages. */
export function mebibytesFor(bytes: number): number {
  return Math.ceil(bytes / MIB);
}

/** Calls `act` for each block that has some of the pages [first, first + count), with how many. */
export function forBlocks(first: number, count: number, act: (block: number, pages: number) => void): void {
  const end = first + count;
  for (let page = first; page < end;) {
    const block = Math.floor(page / BLOCK_PAGES);
    const pages = Math.min(end, (block + 1) * BLOCK_PAGES) - page;
    act(block, pages);
    page += pages;
  }
}
