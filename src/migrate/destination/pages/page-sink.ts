/** Where the pages of a bulk channel go. A receiver knows nothing else of it. */
export interface PageSink {
  /** Pages of this channel that are in place, those of zeroes included, each as often as it came. */
  readonly installed: number;
  /** Throws BAD_PEER if one of these pages must not come now. Before each extent, or range of zeroes. */
  expect(first: number, count: number): void;
  /** Pages that were expected. Returns how many are in place: fewer where this host has no memory for the next one now. */
  install(first: number, count: number, from: Uint8Array, offset: number): number;
  /** Expected pages that read zero. */
  zero(first: number, count: number): void;
  /** Expected pages that the source has lost. */
  lost(first: number, count: number): void;
}
