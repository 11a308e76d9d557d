/** How fast the pages of a VM come in, over the last seconds, and how long the rest takes at that. */
import { harmlessly } from '../basics/harmless.js';
import { bytesOfPages } from '../memory/page-size.js';
import { native } from '../native.js';

const SAMPLE_MS = 500;
/** Samples that are looked at: five seconds. */
const SAMPLES = 10;

interface Sample {
  /** monotonicMicros() */
  at: number;
  left: number;
}

export class ArrivalRate {
  readonly #pagesLeft: () => number;
  readonly #samples: Sample[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(pagesLeft: () => number) {
    this.#pagesLeft = pagesLeft;
  }

  start(): void {
    this.#sample();
    this.#timer ??= setInterval(() => harmlessly('how fast pages come in', () => this.#sample()), SAMPLE_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get bytesPerSecond(): number {
    const [first] = this.#samples;
    const micros = native.monotonicMicros() - (first?.at ?? Infinity);
    if (first === undefined || micros <= 0) return 0;
    return Math.round(bytesOfPages(Math.max(0, first.left - this.#pagesLeft())) / (micros / 1e6));
  }

  /** Milliseconds until all is here; undefined while nothing comes. */
  get leftMs(): number | undefined {
    const { bytesPerSecond } = this;
    return bytesPerSecond > 0 ? Math.round((bytesOfPages(this.#pagesLeft()) / bytesPerSecond) * 1000) : undefined;
  }

  #sample(): void {
    this.#samples.push({ at: native.monotonicMicros(), left: this.#pagesLeft() });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }
}
