/**
 * What a migration costs in memory at this end. The kernel's figure for the process (RssAnon + RssShmem of
 * /proc/self/status), less what the process had besides guest RAM before, is guest RAM that is resident plus what the
 * migration itself allocates; the latter alone is the overhead.
 */
import { readFileSync } from 'node:fs';
import { harmlessly } from '../../basics/harmless.js';
import { native } from '../../native.js';

/** Sampling takes at most this share of a thread's time: reading /proc costs milliseconds in an emulated host. */
const MOST_TIME_SHARE = 0.01;
/** Guest RAM that came or went while a sample was taken; beyond this the overhead cannot be told from it. */
const STEADY_BYTES = 1024 * 1024;

export class MemoryMeter {
  /** What the process had besides guest RAM at the first sample. */
  #baseline: number | undefined;
  readonly #guestBytes: () => number;
  #peak = 0;
  #overhead = 0;
  #nextAt = 0;

  /** `guestBytes`: guest RAM resident now, by the migration's own books. */
  constructor(guestBytes: () => number) {
    this.#guestBytes = guestBytes;
    harmlessly('a measurement of memory', () => (this.#baseline = residentBytes() - guestBytes()));
  }

  /** Does nothing when the last sample was too costly to be repeated yet, or when the kernel does not say. */
  sample(): void {
    harmlessly('a measurement of memory', () => this.#sample());
  }

  #sample(): void {
    const begin = native.monotonicMicros();
    if (begin < this.#nextAt) return;
    const before = this.#guestBytes();
    const resident = residentBytes();
    this.#baseline ??= resident - before;
    const now = resident - this.#baseline;
    const after = this.#guestBytes();
    this.#peak = Math.max(this.#peak, now);
    if (Math.abs(after - before) <= STEADY_BYTES)
      this.#overhead = Math.max(this.#overhead, now - Math.min(before, after));
    const end = native.monotonicMicros();
    this.#nextAt = end + (end - begin) / MOST_TIME_SHARE;
  }

  /** Bytes, guest RAM included. */
  get peak(): number {
    return this.#peak;
  }

  /** Bytes besides guest RAM, at their peak. */
  get overhead(): number {
    return this.#overhead;
  }
}

function residentBytes(): number {
  const status = readFileSync('/proc/self/status', 'latin1');
  return (kilobytes(status, 'RssAnon') + kilobytes(status, 'RssShmem')) * 1024;
}

function kilobytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}
