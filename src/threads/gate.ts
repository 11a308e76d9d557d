/**
 * A gate that threads go through for one short piece of work at a time, in shared memory, until somebody closes it. Who has
 * closed it knows that nobody is inside, and that nobody gets in any more.
 */

/** Beside the number of those who are inside. */
const CLOSED = 1 << 30;
/** Who leaves wakes whoever closes it; looked at again all the same. */
const LOOK_MS = 10;

export class Gate {
  readonly buffer: SharedArrayBuffer;
  readonly #word: Int32Array;

  constructor(buffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer;
    this.#word = new Int32Array(buffer);
  }

  get isClosed(): boolean {
    return (Atomics.load(this.#word, 0) & CLOSED) !== 0;
  }

  /** False if it is closed. Whoever gets in leaves as soon as the piece of work is done, whatever becomes of it. */
  enter(): boolean {
    if ((Atomics.add(this.#word, 0, 1) & CLOSED) === 0) return true;
    this.leave();
    return false;
  }

  leave(): void {
    if (Atomics.sub(this.#word, 0, 1) === (CLOSED | 1)) Atomics.notify(this.#word, 0);
  }

  /** Waits for those who are inside; of a thread that may wait. */
  close(): void {
    Atomics.or(this.#word, 0, CLOSED);
    for (let now = Atomics.load(this.#word, 0); now !== CLOSED; now = Atomics.load(this.#word, 0)) {
      Atomics.wait(this.#word, 0, now, LOOK_MS);
    }
  }
}
