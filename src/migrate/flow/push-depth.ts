/**
 * How much of the push is in flight at a time. A page that somebody waits for queues behind what is in flight, on the
 * wire and at the destination, and one that is itself in flight comes only after what was sent before it; so it is kept
 * to what it takes to keep link and destination busy: a little more than the bandwidth-delay product, which the
 * acknowledgements tell. The model, and the way the rate is found, are those of BBR (Cardwell et al., ACM Queue 14/5,
 * 2016; draft-cardwell-iccrg-bbr-congestion-control), with a window of whole extents instead of a pace.
 */
import { EXTENT_PAGES_MAX } from '../wire/protocol.js';
import { HeldWindow } from './held-window.js';

/** Extents are cut so that one takes this long on the link. */
const EXTENT_MICROS = 150;
const EXTENT_PAGES_MIN = 4;
/** In flight at least, in extents: one on the wire, one being installed, one being acknowledged. */
const EXTENTS_MIN = 3;
/** Of the product that is kept in flight: while the rate still grows with it, and then. */
const GAIN_GROWING = 2;
const GAIN_STEADY = 1.25;
/** The rate has stopped growing when so many round trips have not raised it by a quarter. */
const STEADY_ROUNDS = 3;
/** Then one of so many round trips is used to see whether there is more to be had after all: a busy core looks like a full link. */
const PROBE_ONE_OF = 8;
const GROWTH = 1.25;
/** The rate is the best of so many extents. Of many more, a burst would stand for the link's rate for too long. */
const SAMPLES = 64;
/** Extents in flight at most. */
const ROOM = 1 << 12;

export class PushDepth {
  /** Ring of the extents in flight: pages sent up to its end, when, and pages acknowledged by then. */
  readonly #upTo = new Float64Array(ROOM);
  readonly #at = new Float64Array(ROOM);
  readonly #receivedBy = new Float64Array(ROOM);
  #head = 0;
  #tail = 0;
  #sent = 0;
  #received = 0;
  #roundTrip = Infinity;
  /** Pages a microsecond. */
  readonly #rates = new Float64Array(SAMPLES);
  #sample = 0;
  #rate = 0;
  /** The round trip under way began then, with so many pages acknowledged, and ends when this page is. */
  #roundAt = 0;
  #roundFrom = 0;
  #roundEnd = 0;
  /** The rate that has to be beaten, and rounds that did not. */
  #rateToBeat = 0;
  #roundsWithoutGrowth = 0;
  readonly #held = new HeldWindow();

  /** Pages of the next extent at most. */
  get extentPages(): number {
    return Math.max(EXTENT_PAGES_MIN, Math.min(EXTENT_PAGES_MAX, Math.floor(this.#rate * EXTENT_MICROS)));
  }

  /** May another extent be sent now? */
  get open(): boolean {
    return this.#tail - this.#head < ROOM && this.#sent - this.#received < this.#window;
  }

  get #window(): number {
    return Math.max(this.#held.pages(this.#least), (this.#isGrowing ? GAIN_GROWING : GAIN_STEADY) * this.#product);
  }

  get #least(): number {
    return EXTENTS_MIN * this.extentPages;
  }

  get #product(): number {
    return this.#rate === 0 ? 0 : this.#rate * this.#roundTrip;
  }

  get #isGrowing(): boolean {
    return this.#roundsWithoutGrowth < STEADY_ROUNDS || this.#roundsWithoutGrowth % PROBE_ONE_OF === 0;
  }

  /** An extent goes out. `now`, here and below: monotonicMicros(). */
  sent(pages: number, now: number): void {
    this.#sent += pages;
    const at = this.#tail++ % ROOM;
    this.#upTo[at] = this.#sent;
    this.#at[at] = now;
    this.#receivedBy[at] = this.#received;
  }

  /** `cumulative`: pages that the destination has. */
  acknowledged(cumulative: number, now: number): void {
    this.#received = cumulative;
    while (this.#head < this.#tail && this.#upTo[this.#head % ROOM]! <= cumulative) {
      const at = this.#head++ % ROOM;
      const micros = Math.max(1, now - this.#at[at]!);
      this.#roundTrip = Math.min(this.#roundTrip, micros);
      this.#rates[this.#sample++ % SAMPLES] = (cumulative - this.#receivedBy[at]!) / micros;
    }
    this.#rate = this.#bestRate();
    if (cumulative >= this.#roundEnd) this.#endRound(now);
  }

  #bestRate(): number {
    let best = 0;
    for (let i = 0; i < SAMPLES; i++) if (this.#rates[i]! > best) best = this.#rates[i]!;
    return best;
  }

  #endRound(now: number): void {
    // Where the product is more than the least, it finds its window by itself.
    if (GAIN_STEADY * this.#product <= this.#held.pages(this.#least)) {
      this.#held.endRound(this.#received - this.#roundFrom, now - this.#roundAt, this.#least);
    }
    this.#roundAt = now;
    this.#roundFrom = this.#received;
    this.#roundEnd = this.#sent;
    if (this.#rate >= this.#rateToBeat * GROWTH) {
      this.#rateToBeat = this.#rate;
      this.#roundsWithoutGrowth = 0;
    } else this.#roundsWithoutGrowth++;
  }
}
