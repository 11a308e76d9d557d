/**
 * How much of the push is in flight at a time. A page that somebody waits for queues behind what is in flight, on the
 * wire and at the destination, and one that is itself in flight comes only after what was sent before it; so it is kept
 * to what it takes to keep link and destination busy: twice the bandwidth-delay product, measured on the
 * acknowledgements (the model of BBR, Cardwell et al., ACM Queue 14/5, 2016, with a window instead of a pace).
 */
import { EXTENT_PAGES_MAX } from '../protocol.js';

/** Extents are cut so that one takes this long on the link. */
const EXTENT_MICROS = 250;
const EXTENT_PAGES_MIN = 4;
/** In flight at least, in extents: one on its way while the other is acknowledged. */
const EXTENTS_MIN = 2;
/** The product's multiple: 1 would let the rate only fall. */
const GAIN = 2;
/** The rate is that of the fastest of so many intervals, each so many extents long. */
const INTERVALS = 8;
const INTERVAL_EXTENTS = 4;
/** Extents whose sending is remembered; more are never in flight (64 of 64 pages at 16 GiB/s are a millisecond). */
const ROOM = 1 << 12;

export class PushDepth {
  /** Ring of the extents in flight: pages sent with each (cumulative), and when. */
  readonly #upTo = new Float64Array(ROOM);
  readonly #at = new Float64Array(ROOM);
  #head = 0;
  #tail = 0;
  #sent = 0;
  #received = 0;
  /** Pages a microsecond, of the last intervals. */
  readonly #rates = new Float64Array(INTERVALS);
  #interval = 0;
  #intervalBegan = 0;
  #intervalPages = 0;
  #intervalExtents = 0;
  #roundTrip = Infinity;
  #rate = 0;

  /** Pages of the next extent at most. */
  get extentPages(): number {
    return Math.max(EXTENT_PAGES_MIN, Math.min(EXTENT_PAGES_MAX, Math.floor(this.#rate * EXTENT_MICROS)));
  }

  /** May another extent be sent now? */
  get open(): boolean {
    if (this.#tail - this.#head >= ROOM) return false;
    const product = this.#rate === 0 ? 0 : this.#rate * this.#roundTrip;
    return this.#sent - this.#received < Math.max(GAIN * product, EXTENTS_MIN * this.extentPages);
  }

  /** An extent goes out. */
  sent(pages: number, now: number): void {
    if (this.#intervalBegan === 0) this.#intervalBegan = now;
    this.#sent += pages;
    const at = this.#tail++ % ROOM;
    this.#upTo[at] = this.#sent;
    this.#at[at] = now;
  }

  /** `cumulative`: pages that the destination has. */
  acknowledged(cumulative: number, now: number): void {
    while (this.#head < this.#tail && this.#upTo[this.#head % ROOM]! <= cumulative) {
      this.#roundTrip = Math.min(this.#roundTrip, now - this.#at[this.#head++ % ROOM]!);
      this.#intervalExtents++;
    }
    this.#received = cumulative;
    if (this.#intervalExtents >= INTERVAL_EXTENTS) this.#endInterval(now);
  }

  #endInterval(now: number): void {
    const micros = Math.max(1, now - this.#intervalBegan);
    this.#rates[this.#interval++ % INTERVALS] = (this.#received - this.#intervalPages) / micros;
    this.#rate = Math.max(...this.#rates);
    this.#intervalBegan = now;
    this.#intervalPages = this.#received;
    this.#intervalExtents = 0;
  }
}
