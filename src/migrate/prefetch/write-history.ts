/**
 * Which pages a guest has written lately, in some spans of time one after the other: the dirty log's answers. A place that
 * was written in many of them, and in the last one, is one that the guest works on; what lies between such pages is wanted
 * with them more often than not. A single page that was written once says little.
 */
import { PageBitmap } from '../../memory/page-bitmap.js';
import { pagesIn } from '../../memory/ram-map.js';
import { BLOCK_PAGES } from './guess.js';
import { PLACES_MAX, type RecentPages } from './recent-pages.js';

/** A page that was written in more spans is not told from one that was written in so many. */
const TIMES_MAX = 4;
/** So many pages between two of one place were not written, at most. */
const GAP_MAX = 8;
/** A place's warmth is the spans in which a page of it was written, the last one counted twice, as if it had so many more pages. */
const DOUBT_PAGES = 8;
/** From which on there is no difference, and how many classes of warmth are told apart. */
const WARMEST = 2;
const CLASSES = 8;
/** Those below are cold. They are told of as long as all of them together have so few pages; of many, none is likely to be next. */
const COLD_CLASSES = 2;
const COLD_PAGES_MAX = 512;

type Place = [first: number, pages: number];

export class WriteHistory {
  /** Pages that were written in one span at least, in two, and so on. */
  readonly #times: PageBitmap[] = [];
  readonly #last: PageBitmap;

  /** Of a VM of so many pages. */
  constructor(readonly pages: number) {
    this.#last = new PageBitmap(pages);
  }

  /** What was written in the span behind those that were added before: [first page, pages] pairs of the VM. */
  add(written: Uint32Array): void {
    const last = this.#last;
    last.clearAll();
    last.add(written);
    let again = last.copy();
    for (const times of this.#times) {
      const before = again.copy().keep(times);
      times.unite(again);
      again = before;
    }
    if (this.#times.length < TIMES_MAX) this.#times.push(again);
  }

  /** Pages that were written. */
  get count(): number {
    return this.#times[0]?.count ?? 0;
  }

  /** Tells the places, the warmest ones first; `among`: only of pages that are there. */
  tell(recent: RecentPages, among?: PageBitmap): void {
    const classes = Array.from({ length: CLASSES + 1 }, (): number[] => []);
    const written = this.#times[0]?.copy() ?? this.#last;
    if (among !== undefined) written.keep(among);
    for (const [first, pages] of places(written.extents())) {
      const warmth = Math.min(WARMEST, this.#writes(first, pages) / (pages + DOUBT_PAGES));
      const alike = classes[Math.floor((warmth / WARMEST) * CLASSES)];
      if (alike !== undefined && alike.length < 2 * PLACES_MAX) alike.push(first, pages);
    }
    for (const alike of classes.slice(COLD_CLASSES).toReversed()) recent.add(Uint32Array.from(alike));
    const [coldest = [], cold = []] = classes;
    if (pagesIn(coldest) + pagesIn(cold) > COLD_PAGES_MAX) return;
    recent.add(Uint32Array.from(cold));
    recent.add(Uint32Array.from(coldest));
  }

  #writes(first: number, pages: number): number {
    const inLast = this.#last.countRange(first, pages);
    return this.#times.reduce((sum, map) => sum + map.countRange(first, pages), inLast);
  }
}

/** Of what was written, in ascending order. None is longer than a block, so that the warmth of each is its own. */
function* places(written: Uint32Array): Generator<Place> {
  let [first, end] = [0, 0];
  for (let i = 0; i < written.length; i += 2) {
    const [from, pages] = [written[i] as number, written[i + 1] as number];
    if (from - end > GAP_MAX || from + pages - first > BLOCK_PAGES) {
      yield* blocks(first, end);
      first = from;
    }
    end = from + pages;
  }
  yield* blocks(first, end);
}

function* blocks(first: number, end: number): Generator<Place> {
  for (let at = first; at < end; at += BLOCK_PAGES) yield [at, Math.min(BLOCK_PAGES, end - at)];
}
