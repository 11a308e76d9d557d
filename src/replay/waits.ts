/** How long vCPUs have waited, and how fast the guest was meanwhile. Times in microseconds. */

/** As those of the guest of the trials, which tells its speed. */
const INTERVAL = 1000;
/** Speed is that of so long. */
const WINDOW = 50;

export class Waits {
  /** Of all vCPUs together, in each interval. */
  readonly #lost: number[] = [];
  count = 0;
  longest = 0;
  total = 0;

  add(from: number, to: number): void {
    this.count++;
    this.longest = Math.max(this.longest, to - from);
    this.total += to - from;
    for (let at = from; at < to;) {
      const interval = Math.floor(at / INTERVAL);
      const end = Math.min(to, (interval + 1) * INTERVAL);
      this.#lost[interval] = (this.#lost[interval] ?? 0) + end - at;
      at = end;
    }
  }

  /** When 50 ms begin in which the guest has so much of its speed, as of 1. */
  timeTo(share: number, vcpus: number): number {
    const most = (1 - share) * WINDOW * INTERVAL * vcpus;
    let lost = 0;
    for (let i = 0; i < WINDOW; i++) lost += this.#lost[i] ?? 0;
    for (let first = 0; first < this.#lost.length; first++) {
      if (lost <= most) return first * INTERVAL;
      lost += (this.#lost[first + WINDOW] ?? 0) - (this.#lost[first] ?? 0);
    }
    return this.#lost.length * INTERVAL;
  }
}
