/**
 * Writes pages that come in rounds straight into RAM, which is nobody's yet: no fault is taken, and the kernel gives huge
 * pages where it has some. Only what has something in it is given back for pages of zeroes: that would break a huge page whose
 * rest they are.
 */
import { PostcopyError } from '../../../errors.js';
import { PAGE_SIZE } from '../../../memory/page-size.js';
import type { NativeMemory } from '../../../native.js';
import type { Rounds } from '../rounds.js';
import type { PageSink } from './page-sink.js';

export class RoundWriter implements PageSink {
  #installed = 0;
  readonly #giveBack = (first: number, count: number) => this.memory.release(first, count);

  constructor(
    readonly memory: Pick<NativeMemory, 'write' | 'release'>,
    readonly rounds: Rounds,
  ) {}

  get installed(): number {
    return this.#installed;
  }

  expect(first: number, count: number): void {
    const { pages } = this.rounds;
    if (first + count <= pages) return;
    throw new PostcopyError('BAD_PEER', `the source sent page ${first + count - 1}; the VM has ${pages}`);
  }

  install(first: number, count: number, from: Uint8Array, offset: number): number {
    this.#enter();
    try {
      this.memory.write(first * PAGE_SIZE, from.subarray(offset, offset + count * PAGE_SIZE));
      this.rounds.wrote(first, count);
    } finally {
      this.rounds.gate.leave();
    }
    this.#installed += count;
    return count;
  }

  zero(first: number, count: number): void {
    this.#enter();
    try {
      this.rounds.zeroed(first, count, this.#giveBack);
    } finally {
      this.rounds.gate.leave();
    }
    this.#installed += count;
  }

  /** It would be a page of zeroes until the guest runs: sources keep it for later. */
  lost(first: number): void {
    throw new PostcopyError('BAD_PEER', `the source says in a round that page ${first} is lost`);
  }

  #enter(): void {
    if (!this.rounds.gate.enter()) {
      throw new PostcopyError('BAD_PEER', 'the source sent STATE while pages of a round were on their way');
    }
  }
}
