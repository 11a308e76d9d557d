/**
 * Decides in which order the pages that nobody asked for yet are pushed. Called on a bulk worker, for every extent.
 */
export interface PrefetchPolicy {
  /** The page from which to look for the next one that is left; `after` is the end of the extent sent last. */
  next(after: number): number;
}
