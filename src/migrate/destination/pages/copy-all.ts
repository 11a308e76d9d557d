import { PostcopyError } from '../../../errors.js';
import type { Userfaultfd } from '../../../native.js';

/**
 * Puts pages in place that are missing by the map. The source sends each page once, on one channel, and a fault on a missing
 * page is never answered with zeroes: a page that is in memory all the same was touched before its faults came to us, and
 * holds something else than the guest's data, which the kernel does not overwrite. A guest must not run on it. Throws
 * INTERNAL.
 */
export function copyAll(fd: Userfaultfd, first: number, count: number, from: Uint8Array, offset: number): void {
  const there = count - fd.copy(first, count, from, offset);
  if (there === 0) return;
  const which = count === 1 ? `page ${first}` : `${there} of the pages ${first} to ${first + count - 1}`;
  throw new PostcopyError('INTERNAL', `${which} of guest RAM had a content here before that of the source came`);
}
