/**
 * How many bytes a second all bulk channels of a migration may send together: a token bucket in shared memory, from which
 * every page worker takes. It holds one time, up to which the bytes that were sent are paid for at the rate: each frame
 * puts it off by what it takes at the rate, and while it lies ahead nobody begins another. A bucket that is kept as a time
 * needs nobody who fills it (the generic cell rate algorithm, ITU-T I.371), and changes with one compare-exchange.
 */
import { PAGE_SIZE } from '../../memory/page-size.js';

/** Nanoseconds up to which all is paid; bytes per second, 0: no limit; 1: it is lifted. */
const PAID = 0;
const RATE = 1;
const LIFTED = 2;
const CELLS = 3;

const NANOS_PER_MICRO = 1000;
const NANOS_PER_SECOND = 1e9;
/**
 * Who waits for its time is woken up later than that, and makes up for it. More than that is not saved: it would go out
 * in one piece, and what is in flight then is for PushDepth to say.
 */
const CREDIT_NANOS = 50_000_000n;
/** Nobody sleeps longer before looking again: the limit may have been changed. */
const LONGEST_WAIT_MICROS = 20_000;
/** Frames are cut so that one takes this long at the rate: on a link of that rate a fault waits behind no more. */
const FRAME_MICROS = 150;

export class RateLimit {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  constructor(buffer = new SharedArrayBuffer(CELLS * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new BigInt64Array(buffer);
  }

  /** Undefined: no limit. One that is lifted is told all the same. */
  get bytesPerSecond(): number | undefined {
    const rate = Number(Atomics.load(this.#cells, RATE));
    return rate === 0 ? undefined : rate;
  }

  /** What is held to now; 0: nothing. */
  get #rate(): number {
    return Atomics.load(this.#cells, LIFTED) === 1n ? 0 : Number(Atomics.load(this.#cells, RATE));
  }

  /** Nobody is held back until restore(). */
  lift(): void {
    Atomics.store(this.#cells, LIFTED, 1n);
  }

  /** The limit that was set last holds again; what was sent meanwhile is not reckoned. */
  restore(now: number): void {
    Atomics.store(this.#cells, PAID, nanosOf(now));
    Atomics.store(this.#cells, LIFTED, 0n);
  }

  /** From now on; what was sent before is not reckoned at the new rate. `now`, here and below: monotonicMicros(). */
  set(bytesPerSecond: number | undefined, now: number): void {
    // In this order: whoever reads the new time reads the new rate after it (see charge()).
    Atomics.store(this.#cells, RATE, BigInt(bytesPerSecond ?? 0));
    Atomics.store(this.#cells, PAID, nanosOf(now));
  }

  /** Microseconds before the next frame may begin, or before it has to be asked again; 0: now. */
  waitMicros(now: number): number {
    if (this.#rate === 0) return 0;
    const ahead = Number(Atomics.load(this.#cells, PAID) - nanosOf(now)) / NANOS_PER_MICRO;
    return Math.min(Math.max(0, ahead), LONGEST_WAIT_MICROS);
  }

  /** Pages of a frame at most, of so many that there are. */
  framePages(most: number): number {
    const rate = this.#rate;
    if (rate === 0) return most;
    return Math.max(1, Math.min(most, Math.floor((rate * FRAME_MICROS) / 1e6 / PAGE_SIZE)));
  }

  /** A frame of so many bytes begins. */
  charge(bytes: number, now: number): void {
    for (;;) {
      const paid = Atomics.load(this.#cells, PAID);
      const rate = this.#rate;
      if (rate === 0) return;
      const earliest = nanosOf(now) - CREDIT_NANOS;
      const from = paid > earliest ? paid : earliest;
      const until = from + BigInt(Math.ceil((bytes * NANOS_PER_SECOND) / rate));
      if (Atomics.compareExchange(this.#cells, PAID, paid, until) === paid) return;
    }
  }
}

function nanosOf(micros: number): bigint {
  return BigInt(Math.round(micros * NANOS_PER_MICRO));
}
