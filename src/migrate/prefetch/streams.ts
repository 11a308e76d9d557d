/**
 * What runs through memory in equal steps, up or down, is sent ahead of it. Faults near each other are one stream; the
 * majority of its last steps is its stride; and how far it is sent ahead doubles each time it catches up with what was
 * sent, because then all of that was wanted. What is kept is some numbers a stream, and nothing a page.
 */
import { BLOCK_PAGES, GuessedFirst, type Block, type Guess } from './guess.js';
import type { MakePlan, UnsentPages } from './page-plan.js';
import { addInPlaceOfOldest } from './place-of-oldest.js';
import { Stride } from './stride.js';
import { WrittenLately } from './written-lately.js';

/** Streams that are told apart; a new one takes the place of the one that was silent longest. */
const STREAMS = 32;
/** A fault is a stream's if it lies so near to where that is. */
const REACH = 128;
/** Pages that one is sent ahead at first, and at most. */
const AHEAD_FIRST = 16;
const AHEAD_MAX = 4096;
/** Where one stream's pages end and another's begin, when several are sent ahead. */
const TURN_PAGES = 32;

class Stream {
  readonly #strides = new Stride();
  #stride = 0;
  /** The page behind the last that was sent ahead, in the stream's direction; nothing was if it is the next one. */
  #front = 0;
  #ahead = AHEAD_FIRST;
  /** Pages that may be sent ahead before it has to show itself again. */
  left = 0;

  constructor(
    readonly pages: number,
    public at: number,
    public page: number,
  ) {}

  /** How far a fault lies from where the stream is or may be by now; Infinity if it cannot be its. */
  distance(page: number): number {
    const step = page - this.page;
    if (this.#stride === 0) return Math.abs(step) <= REACH ? Math.abs(step) : Infinity;
    const [behind, beyond] = [Math.min(this.page, this.#front), Math.max(this.page, this.#front)];
    if (page >= behind && page <= beyond) return 0;
    const off = page < behind ? behind - page : page - beyond;
    return off <= REACH ? off : Infinity;
  }

  /** `step` from its last fault to this one, in pages that were not sent. True if it is a stream. */
  faulted(page: number, step: number, at: number): boolean {
    const goesOn = this.#isOnWay(page);
    this.page = page;
    this.at = at;
    if (goesOn) {
      // Beyond pages that were not sent, it has not caught up with those that were.
      if (step === this.#stride) this.#ahead = Math.min(2 * this.#ahead, AHEAD_MAX);
    } else if (!this.#learn(page, step)) return false;
    if ((page - this.#front) * Math.sign(this.#stride) >= 0) this.#front = page + this.#stride;
    this.left = this.#ahead;
    return true;
  }

  #isOnWay(page: number): boolean {
    const steps = (page - this.page) / this.#stride;
    return steps > 0 && Number.isInteger(steps);
  }

  #learn(page: number, step: number): boolean {
    if (step !== 0) this.#strides.add(step);
    const stride = this.#strides.majority;
    if (stride !== this.#stride) this.#front = page + stride;
    if (stride !== this.#stride || stride === 0) this.#ahead = AHEAD_FIRST;
    this.#stride = stride;
    if (stride === 0) this.left = 0;
    return stride !== 0;
  }

  /** The next pages ahead. False if there are none. */
  take(block: Block): boolean {
    if (this.left <= 0) return false;
    const stride = this.#stride;
    const front = this.#front;
    if (front < 0 || front >= this.pages) {
      this.left = 0;
      return false;
    }
    // Of a stream of every page a piece at a time; else one page.
    const pages = Math.abs(stride) === 1 ? Math.min(TURN_PAGES, BLOCK_PAGES, this.left) : 1;
    block.from = stride < 0 ? Math.max(0, front - pages + 1) : front;
    block.to = stride < 0 ? front + 1 : Math.min(this.pages, front + pages);
    this.#front += stride * pages;
    this.left -= pages;
    return true;
  }
}

export class Streams implements Guess {
  readonly #streams: Stream[] = [];
  #faults = 0;
  #turn = 0;

  constructor(readonly unsent: UnsentPages) {}

  faulted(page: number): boolean {
    if (page >= this.unsent.pages) return false;
    const at = ++this.#faults;
    const stream = this.#nearest(page);
    if (stream !== undefined) return stream.faulted(page, this.#step(stream.page, page), at);
    addInPlaceOfOldest(this.#streams, new Stream(this.unsent.pages, at, page), STREAMS);
    return false;
  }

  /** In turn. */
  next(block: Block): boolean {
    for (let tried = 0; tried < this.#streams.length; tried++) {
      this.#turn = (this.#turn + 1) % this.#streams.length;
      if (this.#streams[this.#turn]?.take(block) === true) return true;
    }
    return false;
  }

  #nearest(page: number): Stream | undefined {
    let nearest: Stream | undefined;
    let least = Infinity;
    for (const stream of this.#streams) {
      const distance = stream.distance(page);
      if (distance >= least) continue;
      least = distance;
      nearest = stream;
    }
    return nearest;
  }

  /** Pages in between that were sent, with a fault nearby for one, make no step longer: nobody could fault on them. */
  #step(from: number, to: number): number {
    const way = Math.sign(to - from);
    if (Math.abs(to - from) > REACH) return way;
    for (let page = from + way; page !== to && way !== 0; page += way) if (this.unsent.isUnsent(page)) return to - from;
    return way;
  }
}

export const streams: MakePlan = (unsent, recent) =>
  new GuessedFirst(unsent, [new Streams(unsent), new WrittenLately(unsent, recent)]);
