import { native } from '../native.js';

const TRIPLE = 3;
/** As the addon's poll() has it. */
const MOST = 64;
/** As poll(2) takes it. */
const LONGEST_MS = 0x7fffffff;

/** What a thread waits for in poll(2): written anew before each wait, without an allocation. */
export class PollSet {
  /** [fd, events, revents] of each. */
  readonly #triples = new Int32Array(MOST * TRIPLE);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = 0;
  }

  /** A descriptor below 0 is passed over. */
  add(fd: number, events: number): void {
    if (this.#count === MOST) throw new RangeError(`more than ${MOST} descriptors to wait for`);
    const at = this.#count++ * TRIPLE;
    this.#triples[at] = fd;
    this.#triples[at + 1] = events;
    this.#triples[at + 2] = 0;
  }

  /**
   * False if nothing has come by then. Whoever computes a time that is over already, or none at all, does not wait: to
   * poll(2) a negative one is an error, or for ever.
   */
  wait(timeoutMs: number): boolean {
    return native.poll(this.#triples, this.#count, timeoutMs > 0 ? Math.min(timeoutMs, LONGEST_MS) : 0) > 0;
  }

  /** What has come for the one that was added so many others before. */
  revents(index: number): number {
    return this.#triples[index * TRIPLE + 2] as number;
  }
}
