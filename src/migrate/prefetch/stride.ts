/**
 * The step that most of the last steps between faults have taken, by the majority vote of Boyer and Moore ("MJRTY, a fast
 * majority vote algorithm", 1981), of the last few first and of more if those do not agree: as in Leap (Al Maruf and
 * Chowdhury, USENIX ATC 2020).
 */
const STEPS = 8;
const FEWEST = 3;

/** Those of a stream that several vCPUs share are not longer, and so much of the way that they go leads on. */
const SHARED_STEP_MAX = 16;
const SHARED_WAY = 0.6;

export class Stride {
  readonly #steps = new Float64Array(STEPS);
  #count = 0;

  add(step: number): void {
    this.#steps[this.#count++ % STEPS] = step;
  }

  /** In pages, of either sign; 0 if most steps do not agree. */
  get majority(): number {
    const known = Math.min(this.#count, STEPS);
    for (let last = FEWEST; last <= known; last = last < known ? Math.min(2 * last, known) : known + 1) {
      const step = this.#candidate(last);
      if (step !== 0) return step;
    }
    return known < STEPS ? 0 : this.#shared();
  }

  #candidate(last: number): number {
    let candidate = 0;
    let votes = 0;
    for (let i = 1; i <= last; i++) {
      if (votes === 0) candidate = this.#at(i);
      votes += this.#at(i) === candidate ? 1 : -1;
    }
    let count = 0;
    for (let i = 1; i <= last; i++) if (this.#at(i) === candidate) count++;
    return 2 * count > last + 1 ? candidate : 0;
  }

  /** vCPUs on one stream come out of step with each other, and still go one way. */
  #shared(): number {
    let on = 0;
    let way = 0;
    for (const step of this.#steps) {
      if (Math.abs(step) > SHARED_STEP_MAX) return 0;
      on += step;
      way += Math.abs(step);
    }
    return Math.abs(on) >= SHARED_WAY * way ? Math.sign(on) : 0;
  }

  /** The i-th last. */
  #at(i: number): number {
    return this.#steps[(this.#count - i) % STEPS] as number;
  }
}
