/**
 * The last pages that the destination asked for, in shared memory: the page server leaves them, each push hands on to its
 * plan those it has not seen, and so does who writes a trace. One that is so far behind that its next ones are overwritten goes on with what is there:
 * a plan only advises.
 */
const ROOM = 1 << 14;
const TIMES = ROOM;
const WRITTEN = 2 * ROOM;

export class FaultTrail {
  readonly buffer: SharedArrayBuffer;
  /** A ring of pages, one of when they were asked for (microseconds, of 32 bits), and how many were ever written. */
  readonly #words: Uint32Array;
  /** Of them, those that this reader has passed. */
  #read = 0;

  constructor(buffer = new SharedArrayBuffer((WRITTEN + 1) * Uint32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
  }

  /** Page server only. `at`: monotonicMicros(). */
  add(page: number, at: number): void {
    const written = Atomics.load(this.#words, WRITTEN);
    const place = written % ROOM;
    Atomics.store(this.#words, TIMES + place, at % 2 ** 32);
    Atomics.store(this.#words, place, page);
    Atomics.store(this.#words, WRITTEN, written + 1);
  }

  /** Tells of the pages that were added since this reader looked last; returns how many have been overwritten before. */
  follow(reader: { faulted(page: number, at: number): void }): number {
    const written = Atomics.load(this.#words, WRITTEN);
    if (written === this.#read) return 0;
    // The number of pages written is one of 32 bits, and may wrap.
    const added = (written - this.#read) >>> 0;
    const fresh = Math.min(added, ROOM);
    for (let i = (written - fresh) >>> 0; i !== written; i = (i + 1) >>> 0) {
      reader.faulted(Atomics.load(this.#words, i % ROOM), Atomics.load(this.#words, TIMES + (i % ROOM)));
    }
    this.#read = written;
    return added - fresh;
  }
}
