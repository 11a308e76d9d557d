/**
 * What a migration costs in memory at this end: guest RAM that is resident plus what the migration itself allocates.
 * Measured by the kernel (RssAnon + RssShmem of /proc/self/status), less what the process had besides guest RAM before.
 */
import { readFileSync } from 'node:fs';

export class MemoryMeter {
  readonly #baseline: number;
  #peak = 0;

  /** `guestBytes`: guest RAM resident now. */
  constructor(guestBytes: number) {
    this.#baseline = residentBytes() - guestBytes;
  }

  /** Bytes now. */
  sample(): number {
    const now = Math.max(0, residentBytes() - this.#baseline);
    this.#peak = Math.max(this.#peak, now);
    return now;
  }

  get peak(): number {
    return this.#peak;
  }
}

function residentBytes(): number {
  const status = readFileSync('/proc/self/status', 'latin1');
  return (kilobytes(status, 'RssAnon') + kilobytes(status, 'RssShmem')) * 1024;
}

function kilobytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}
