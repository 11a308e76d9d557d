/**
 * Puts pages in place that are missing by the map. The source sends each page once, on one channel, and a fault on a missing
 * page is never answered with zeroes: a page that is in memory all the same was touched before its faults came to us, and
 * holds something else than the guest's data, which the kernel does not overwrite. A guest must not run on it.
 */
import { PostcopyError } from '../../../errors.js';
import type { Userfaultfd } from '../../../native.js';

/** How far the kernel got: pages that are there, from the first one on, and how many of them were not before. */
interface Installed {
  pages: number;
  installed: number;
}

/**
 * Returns the pages that are in place, from the first one on: fewer than `count` where the host has no memory now, and the
 * others have to be tried again. Throws INTERNAL if a page is there already.
 */
export function copyAll(fd: Userfaultfd, first: number, count: number, from: Uint8Array, offset: number): number {
  const { pages, installed } = copy(fd, first, count, from, offset);
  const there = pages - installed;
  if (there === 0) return pages;
  const which = count === 1 ? `page ${first}` : `${there} of the pages ${first} to ${first + count - 1}`;
  throw hadContent(which);
}

/** A page was there before it came. */
export function hadContent(which: string): PostcopyError {
  return new PostcopyError('INTERNAL', `${which} of guest RAM had a content here before that of the source came`);
}

function copy(fd: Userfaultfd, first: number, count: number, from: Uint8Array, offset: number): Installed {
  try {
    return { pages: count, installed: fd.copy(first, count, from, offset) };
  } catch (error) {
    if (isOutOfMemory(error)) return error;
    throw error;
  }
}

/** Of the addon's userfaultfd: the host has no memory for a page now. */
export function isOutOfMemory(error: unknown): error is Installed {
  return (error as NodeJS.ErrnoException).code === 'ENOMEM';
}
