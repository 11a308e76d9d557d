/**
 * The last pages that the destination asked for, in shared memory: the page server leaves them, and each push hands on to
 * its plan those it has not seen. One that is so far behind that its next ones are overwritten goes on with what is there:
 * a plan only advises.
 */
const ROOM = 1024;
const WRITTEN = ROOM;

export class FaultTrail {
  readonly buffer: SharedArrayBuffer;
  /** A ring of pages, and behind it how many were ever written. */
  readonly #words: Uint32Array;
  /** Of them, those that this reader has passed. */
  #read = 0;

  constructor(buffer = new SharedArrayBuffer((ROOM + 1) * Uint32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
  }

  /** Page server only. */
  add(page: number): void {
    const written = Atomics.load(this.#words, WRITTEN);
    Atomics.store(this.#words, written % ROOM, page);
    Atomics.store(this.#words, WRITTEN, written + 1);
  }

  /** Tells of the pages that were added since this reader looked last. */
  follow(plan: { faulted(page: number): void }): void {
    const written = Atomics.load(this.#words, WRITTEN);
    if (written === this.#read) return;
    // The number of pages written is one of 32 bits, and may wrap.
    const fresh = Math.min((written - this.#read) >>> 0, ROOM);
    for (let i = (written - fresh) >>> 0; i !== written; i = (i + 1) >>> 0) {
      plan.faulted(Atomics.load(this.#words, i % ROOM));
    }
    this.#read = written;
  }
}
