/**
 * Limits notices of one kind that a guest causes: so many at once, and from then on one now and then. A guest that resets
 * itself in a loop would fill the log, which may lie in memory.
 */
const MOST_AT_ONCE = 20;
/** One more may be told after each of these. */
const EVERY_MS = 60_000;

export class NoticeLimit {
  readonly #nowMs: () => number;
  #left = MOST_AT_ONCE;
  #since: number;
  #untold = 0;

  /** `nowMs`: a clock that never steps back. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#since = nowMs();
  }

  /** Before each notice: how many before it were not told; -1 if this one is not to be told either. */
  take(): number {
    const more = Math.floor((this.#nowMs() - this.#since) / EVERY_MS);
    this.#left = Math.min(MOST_AT_ONCE, this.#left + more);
    this.#since += more * EVERY_MS;
    if (this.#left === 0) {
      this.#untold++;
      return -1;
    }
    this.#left--;
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }
}
