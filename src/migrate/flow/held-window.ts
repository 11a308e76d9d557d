/**
 * How much is kept in flight at least. Where round trips are usually many times the shortest (a host whose one core the
 * guest has as well), rate times shortest round trip does not keep the path busy. Round trips do not tell it, for a queue
 * makes them longer too; what a wider window moves does: twice the pages in twice the time if they queue, in hardly more
 * if the path was idle. So twice the window is tried now and then, and kept if it is worth it; and half of what is kept.
 */

/** Round trips of a trial, and before it. */
const ROUNDS = 12;
/** After a trial that changed nothing, twice as long after each more: somebody's page waits behind what a trial adds. */
const REST_MICROS = 100_000;
const REST_MICROS_MAX = 6_400_000;
/** A window is worth it if it moves so much of what the one before did: twice of it, and half. */
const TWICE_WORTH = 1.4;
const HALF_WORTH = 0.85;
/** Of the least, at most. */
const MOST = 8;

export class HeldWindow {
  /** What was found worth it; the least if that is more. */
  #held = 0;
  /** Of the trial under way; 0 between trials. */
  #tried = 0;
  #wider = true;
  #rest = 0;
  #nextRest = REST_MICROS;
  /** Since the trial began, or before it. */
  #rounds = 0;
  #pages = 0;
  #micros = 0;
  /** Pages a microsecond before the trial. */
  #usualRate = 0;

  /** `least`: what is in flight in any case. */
  pages(least: number): number {
    return Math.min(Math.max(least, this.#tried > 0 ? this.#tried : this.#held), MOST * least);
  }

  /** A round trip is over, in which so many pages were acknowledged. */
  endRound(pages: number, micros: number, least: number): void {
    if (this.#rest > 0) {
      this.#rest -= micros;
      return;
    }
    // A round trip brings what was in flight when it began: the first one of a trial is not of it.
    if (this.#rounds > 0) {
      this.#pages += pages;
      this.#micros += micros;
    }
    if (this.#rounds++ < ROUNDS) return;
    const rate = this.#pages / this.#micros;
    if (this.#tried > 0) this.#decide(rate, least);
    else this.#begin(rate, least);
  }

  #begin(usualRate: number, least: number): void {
    this.#startCounting();
    this.#usualRate = usualRate;
    const now = this.pages(least);
    this.#tried = this.#wider ? Math.min(2 * now, MOST * least) : Math.max(now / 2, least);
    if (this.#tried === now) this.#end();
  }

  #decide(rate: number, least: number): void {
    if (rate < this.#usualRate * (this.#wider ? TWICE_WORTH : HALF_WORTH)) return this.#end();
    this.#nextRest = REST_MICROS;
    this.#held = this.#tried > least ? this.#tried : 0;
    this.#tried = 0;
    this.#begin(rate, least);
  }

  #end(): void {
    this.#startCounting();
    this.#tried = 0;
    this.#wider = !this.#wider || this.#held === 0;
    this.#rest = this.#nextRest;
    this.#nextRest = Math.min(2 * this.#nextRest, REST_MICROS_MAX);
  }

  #startCounting(): void {
    this.#rounds = this.#pages = this.#micros = 0;
  }
}
