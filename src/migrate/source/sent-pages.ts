/**
 * Pages sent on one channel and not acknowledged yet, oldest first. They are kept until the destination has them: only
 * then is there a second copy.
 */
import { PostcopyError } from '../../errors.js';
import type { BlockRelease } from './release.js';

/** Extents in flight on one channel; a channel's socket buffers hold far fewer. */
const ROOM = 1 << 16;

export class SentPages {
  readonly #extents = new Uint32Array(ROOM * 2);
  #head = 0;
  #tail = 0;
  #sent = 0;
  #received = 0;
  /** Of `received`, those that `blocks` has been told of. */
  #told = 0;
  #released = 0;

  constructor(readonly blocks: BlockRelease) {}

  get full(): boolean {
    return this.#tail - this.#head >= ROOM;
  }

  /** All that was sent has been acknowledged. */
  get empty(): boolean {
    return this.#received === this.#sent;
  }

  get received(): number {
    return this.#received;
  }

  /** Pages given back to the host on account of this channel. */
  get released(): number {
    return this.#released;
  }

  /** Throws BAD_PEER when full: more would overwrite the oldest, and with them what may be released. */
  add(first: number, count: number): void {
    if (this.full) throw new PostcopyError('BAD_PEER', `the destination has not acknowledged ${ROOM} pieces of memory`);
    const at = (this.#tail++ % ROOM) * 2;
    this.#extents[at] = first;
    this.#extents[at + 1] = count;
    this.#sent += count;
  }

  /** `cumulative`: pages of this channel that the destination has, as it says. */
  acknowledge(cumulative: number): void {
    if (cumulative < this.#received || cumulative > this.#sent) {
      throw new PostcopyError('BAD_PEER', `the destination acknowledges ${cumulative} pages; ${this.#sent} were sent`);
    }
    this.#received = cumulative;
  }

  /** Before the hand-over: of what has been acknowledged, nothing is given back, as the guest goes on changing it here. */
  forget(): void {
    this.#takeReceived(() => {});
  }

  /** Gives back what has been acknowledged, by whole extents. */
  release(): void {
    this.#takeReceived((first, pages) => (this.#released += this.blocks.acknowledged(first, pages)));
  }

  #takeReceived(take: (first: number, pages: number) => void): void {
    while (this.#head < this.#tail) {
      const at = (this.#head % ROOM) * 2;
      const pages = this.#extents[at + 1]!;
      if (this.#told + pages > this.#received) break;
      this.#told += pages;
      this.#head++;
      take(this.#extents[at]!, pages);
    }
  }
}
