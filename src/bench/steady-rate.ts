/** How fast pages arrived in the middle of a migration: without its beginning, and without its last pages. */
import { bytesOfPages } from '../memory/page-size.js';
import type { PagesLeft } from './system.js';

/** Of the pages, what is left where the middle begins, and where it ends. */
const BEGIN_SHARE = 0.9;
const END_SHARE = 0.1;
/** A shorter middle says more of the moments at which it was looked at than of the rate. */
const MIN_MS = 1000;

/** Bytes a second; undefined if the middle is too short. */
export function steadyRate(samples: readonly PagesLeft[]): number | undefined {
  const most = Math.max(0, ...samples.map(({ pages }) => pages));
  const middle = samples.filter(({ pages }) => pages <= most * BEGIN_SHARE && pages >= most * END_SHARE);
  const [first, last] = [middle[0], middle.at(-1)];
  if (first === undefined || last === undefined || last.atMs - first.atMs < MIN_MS) return undefined;
  return (bytesOfPages(first.pages - last.pages) / (last.atMs - first.atMs)) * 1000;
}
