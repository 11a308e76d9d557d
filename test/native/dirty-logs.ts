/** Dirty logs for tests of the addon, and guest RAM that they are of. */
import { onTestFinished } from 'vitest';
import { native, type Backing, type NativeDirtyLog, type NativeMemory } from '../../src/native.js';

export const PAGE = 4096;
/** Less than a huge page, so that a page is written alone whatever the host's settings are. */
export const PAGES = 200;

export function openRam(backing: Backing = 'anonymous', pages = PAGES): NativeMemory {
  const memory = new native.GuestMemory(pages * PAGE, backing);
  onTestFinished(() => memory.close());
  return memory;
}

export async function beginLog(memory: NativeMemory): Promise<NativeDirtyLog> {
  const log = new native.DirtyLog('userfaultfd', memory);
  onTestFinished(() => log.end());
  await log.begin();
  return log;
}

/** The pages of [first page, pages] pairs, which are ascending and no two of which touch. */
export function pagesIn(pairs: Uint32Array): number[] {
  const pages: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const [first, count] = [pairs[i]!, pairs[i + 1]!];
    if (count === 0 || (i > 0 && first <= pages.at(-1)! + 1)) throw new Error(`bad pairs: ${pairs.join(' ')}`);
    for (let page = first; page < first + count; page++) pages.push(page);
  }
  return pages;
}

/** One byte in each. */
export function touch(memory: NativeMemory, ...pages: number[]): void {
  for (const page of pages) memory.write(page * PAGE + 17, Uint8Array.of(page + 1));
}

export const dataOf = (memory: NativeMemory): number[] => pagesIn(memory.dataExtents(0, memory.bytes / PAGE));
