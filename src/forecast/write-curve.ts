/**
 * How many different pages a guest writes within a time. It was measured for a few times, and is a line between each two of
 * them; beyond the longest it goes on as it did last, up to all pages that there are. That is too much for a guest that
 * has written to nearly all that it works on, and errs on the side of caution.
 */

/** Pages that were written within so many milliseconds. */
export interface CurvePoint {
  ms: number;
  pages: number;
}

export class WriteCurve {
  /** Ascending in both, from nothing on. */
  readonly #points: readonly CurvePoint[];

  /** `mostPages`: of the guest, that can be written. Points may be in any order. */
  constructor(
    points: readonly CurvePoint[],
    readonly mostPages: number,
  ) {
    const rising: CurvePoint[] = [{ ms: 0, pages: 0 }];
    for (const { ms, pages } of [...points].sort((a, b) => a.ms - b.ms)) {
      const last = rising.at(-1)!;
      // A guest that was slow in a longer span wrote as much in a shorter one, at another time.
      if (ms > last.ms) rising.push({ ms, pages: Math.min(Math.max(pages, last.pages), mostPages) });
    }
    this.#points = rising;
  }

  /** Pages that the guest writes in so many milliseconds, not always a whole number. */
  within(ms: number): number {
    const points = this.#points;
    let at = points.findIndex((point) => point.ms >= ms);
    if (at < 0) at = points.length - 1;
    if (at <= 0) return 0;
    const [from, to] = [points[at - 1]!, points[at]!];
    const pages = from.pages + ((to.pages - from.pages) * (ms - from.ms)) / (to.ms - from.ms);
    return Math.min(pages, this.mostPages);
  }
}
