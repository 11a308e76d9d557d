import { native } from '../native.js';
import type { PollSource } from '../devices/poll-source.js';

const TRIPLE = 3;
/** As the addon's poll() has it. */
const MOST = 64;
/** As poll() takes it. */
const LONGEST_MS = 0x7fffffff;

/** Waits in poll(2) for sources that come and go, without an allocation a turn. */
export class PollLoop {
  readonly #set = new Int32Array(MOST * TRIPLE);
  readonly #waiting: PollSource[] = [];

  /**
   * Waits for one of the sources at most so long, and runs those that are ready, in their order. Whoever computes a time
   * that is over already, or none at all, does not wait: to poll() a negative one is an error, or for ever.
   */
  turn(sources: Iterable<PollSource>, timeoutMs: number): void {
    let count = 0;
    for (const source of sources) {
      const { events } = source;
      if (events === 0) continue;
      if (count === MOST) throw new RangeError(`more than ${MOST} descriptors to wait for`);
      this.#set[count * TRIPLE] = source.fd;
      this.#set[count * TRIPLE + 1] = events;
      this.#waiting[count++] = source;
    }
    if (native.poll(this.#set, count, timeoutMs > 0 ? Math.min(timeoutMs, LONGEST_MS) : 0) === 0) return;
    for (let i = 0; i < count; i++) {
      const revents = this.#set[i * TRIPLE + 2]!;
      if (revents !== 0) this.#waiting[i]!.run(revents);
    }
  }
}
