/**
 * The neighbours of what was asked for, on both sides, nearest first: a bubble around each of the last faults, that grows
 * as long as no other is smaller, and stops where it meets what was sent. After Hines and Gopalan, "Post-copy based live
 * virtual machine migration using adaptive pre-paging and dynamic self-ballooning", VEE 2009. What is kept is some numbers
 * a bubble, and nothing a page.
 */
import { BLOCK_PAGES, GuessedFirst, type Block, type Guess } from './guess.js';
import type { MakePlan } from './page-plan.js';
import { addInPlaceOfOldest } from './place-of-oldest.js';
import { WrittenLately } from './written-lately.js';

/** Bubbles that grow at one time; a new one takes the place of the oldest. */
const BUBBLES = 64;
/**
 * Pages that one grows by at first, on each side, or as many as go at once: where the link is fast, smaller pieces would
 * cost more than they bring. Later it grows by as many as it has there, up to a block.
 */
const FIRST_STEP = 4;
/** Such a large one stops: that near, a fault says nothing any more. */
const REACH_MAX = 1024;

interface Bubble {
  /** Its pages are [low, high). */
  low: number;
  high: number;
  /** It grows by turns, one to each side; -1 when it has stopped. */
  turns: number;
  /** When it was asked in last, by the number of faults. */
  at: number;
}

export class NearFaults implements Guess {
  readonly #bubbles: Bubble[] = [];
  #faults = 0;

  constructor(readonly pages: number) {}

  faulted(page: number): boolean {
    if (page >= this.pages) return false;
    const at = ++this.#faults;
    const around = this.#bubbles.find(({ low, high }) => page >= low - FIRST_STEP && page < high + FIRST_STEP);
    const alone = { low: page, high: page + 1, turns: 0, at };
    if (around === undefined) addInPlaceOfOldest(this.#bubbles, alone, BUBBLES);
    else Object.assign(around, grownTo(around, page), { at });
    return true;
  }

  next(block: Block, most: number): boolean {
    const bubble = this.#smallest();
    if (bubble === undefined) return false;
    if (bubble.turns % 2 === 0) this.#growUp(bubble, block, stepOf(bubble, most));
    else this.#growDown(bubble, block, stepOf(bubble, most));
    bubble.turns = this.#mayGrow(bubble) ? bubble.turns + 1 : -1;
    return true;
  }

  /** Of those that have had as few turns, the newest. */
  #smallest(): Bubble | undefined {
    let best: Bubble | undefined;
    for (const bubble of this.#bubbles) {
      if (bubble.turns < 0) continue;
      const better =
        best === undefined || bubble.turns < best.turns || (bubble.turns === best.turns && bubble.at > best.at);
      if (better) best = bubble;
    }
    return best;
  }

  #mayGrow({ low, high }: Bubble): boolean {
    return high - low < Math.min(REACH_MAX, this.pages);
  }

  #growUp(bubble: Bubble, block: Block, step: number): void {
    block.from = bubble.high;
    bubble.high = block.to = Math.min(this.pages, bubble.high + step);
  }

  #growDown(bubble: Bubble, block: Block, step: number): void {
    block.to = bubble.low;
    bubble.low = block.from = Math.max(0, bubble.low - step);
  }
}

function stepOf({ low, high }: Bubble, most: number): number {
  return Math.min(BLOCK_PAGES, Math.max(FIRST_STEP, (high - low) >>> 1, most));
}

/** A bubble that is asked in again takes its turns as one that is half as old. */
function grownTo({ low, high, turns }: Bubble, page: number): Pick<Bubble, 'low' | 'high' | 'turns'> {
  return { low: Math.min(low, page), high: Math.max(high, page + 1), turns: Math.max(0, turns >> 1) };
}

export const nearFaults: MakePlan = (unsent, recent) =>
  new GuessedFirst(unsent, [new WrittenLately(unsent, recent), new NearFaults(unsent.pages)]);
