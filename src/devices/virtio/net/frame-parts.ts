import type { Segment } from '../segment.js';

/** readv(2) takes 1,024 buffers, and the addon adds one. */
const PARTS_MAX = 1023;

/** Where a frame is in guest RAM, as NativeTap takes it: [ramOffset, length] pairs. Made once, filled for each frame. */
export class FrameParts {
  readonly pairs = new Float64Array(2 * PARTS_MAX);
  count = 0;
  /** All of them together. */
  bytes = 0;

  clear(): void {
    this.count = 0;
    this.bytes = 0;
  }

  /** Adds the segments but for their first `skip` bytes; false if there are too many. */
  add(segments: readonly Segment[], skip = 0): boolean {
    let toSkip = skip;
    for (const { ramOffset, length } of segments) {
      const skipped = Math.min(toSkip, length);
      toSkip -= skipped;
      if (skipped === length) continue;
      if (this.count === PARTS_MAX) return false;
      this.pairs[2 * this.count] = ramOffset + skipped;
      this.pairs[2 * this.count + 1] = length - skipped;
      this.count++;
      this.bytes += length - skipped;
    }
    return true;
  }
}
