/**
 * What the main thread of a source tells its page workers of the rounds before the hand-over, in shared memory: which round
 * it is, and whether pages may be pushed in it. Every bulk channel answers each change, once nothing of it is on its way.
 */
export class RoundSignal {
  readonly buffer: SharedArrayBuffer;
  /** The number of the last change; below 0 if nothing may be pushed any more. */
  readonly #word: Int32Array;

  constructor(buffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#word = new Int32Array(buffer);
  }

  /** 0 before the first one, and in post-copy. */
  get change(): number {
    return Math.abs(Atomics.load(this.#word, 0));
  }

  /** Pages may be pushed, though the guest runs here. */
  get open(): boolean {
    return Atomics.load(this.#word, 0) > 0;
  }

  /** Another round; returns the change that is to be answered. */
  begin(): number {
    const change = this.change + 1;
    Atomics.store(this.#word, 0, change);
    return change;
  }

  /** As begin(): no page is claimed from now on. */
  close(): number {
    const change = this.change + 1;
    Atomics.store(this.#word, 0, -change);
    return change;
  }
}
