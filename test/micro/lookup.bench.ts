/** Page states: which bit is it, and is it set. */
import { PageBitmap } from '../../src/memory/page-bitmap.js';
import { GIB, pagesFor } from '../../src/memory/page-size.js';
import { EXTENT_PAGES_MAX } from '../../src/migrate/wire/protocol.js';
import { stage } from './stage.js';

const LOOKUPS = 4096;

for (const gib of [1, 64]) {
  const pages = pagesFor(gib * GIB);
  const bitmap = new PageBitmap(pages);
  const all = () => bitmap.setRange(0, pages);
  const none = () => bitmap.clearRange(0, pages);
  const anywhere = scattered(pages);
  let found = 0;

  stage(`lookup: missing.has, ${gib} GiB`, {
    open: all,
    run() {
      for (let i = 0; i < LOOKUPS; i++) if (bitmap.has(anywhere[i]!)) found++;
    },
    operations: LOOKUPS,
  });

  stage(`lookup: unsent.clear, ${gib} GiB`, {
    prepare: all,
    run() {
      for (let i = 0; i < LOOKUPS; i++) if (bitmap.clear(anywhere[i]!)) found++;
    },
    operations: LOOKUPS,
    share: gib > 1 ? 0.25 : 1,
  });

  stage(`lookup: next, the page itself, ${gib} GiB`, {
    open: all,
    run() {
      for (let i = 0; i < LOOKUPS; i++) found += bitmap.next(anywhere[i]!);
    },
    operations: LOOKUPS,
  });

  stage(`lookup: next, none in all of ${gib} GiB`, {
    open: none,
    run() {
      found += bitmap.next(0);
    },
  });

  stage(`lookup: next and claimRun of 64 pages, ${gib} GiB`, {
    prepare: all,
    run() {
      for (let i = 0, from = 0; i < LOOKUPS / 8; i++) {
        const first = bitmap.next(from);
        from = first + bitmap.claimRun(first, EXTENT_PAGES_MAX);
      }
    },
    operations: LOOKUPS / 8,
    share: gib > 1 ? 0.25 : 1,
  });
}

/** Page numbers as a guest's faults have them: in no order (Numerical Recipes' linear congruential generator). */
function scattered(pages: number): Uint32Array {
  let state = 1;
  return Uint32Array.from({ length: LOOKUPS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % pages;
  });
}
