/** Where the time goes while the guest stands still: laps from the last vCPU parked here to the first one running there. */

const PARTS = ['stop', 'save', 'copy', 'map', 'transfer', 'load', 'commit', 'start'] as const;
export type DowntimePart = (typeof PARTS)[number];

/**
 * Milliseconds. stop: until this process knew that the last vCPU was parked; save: devices, which finish what they have
 * in flight, CPU and chips; copy: behind rounds, what the guest has written since the last one, and in pre-copy those pages
 * there; map: which pages have come to hold data, and the content of the first pages; transfer: STATE
 * there, LOADED back; load: STATE into KVM and devices; commit: COMMIT there; start: clocks set, the first vCPU in the
 * guest. Their sum is the downtime. A VM's process of a release without rounds says nothing of copy.
 */
export type DowntimeParts = Record<Exclude<DowntimePart, 'copy'>, number> & { copy?: number | undefined };

export class DowntimeLaps {
  readonly #micros = new Map<DowntimePart, number>();
  #last = 0;

  /** `now`, here and below: monotonicMicros(). */
  begin(now: number): void {
    this.#micros.clear();
    this.#last = now;
  }

  /** What has passed since the last lap was this. */
  lap(part: DowntimePart, now: number): void {
    this.add(part, now - this.#last);
    this.#last = now;
  }

  add(part: DowntimePart, micros: number): void {
    this.#micros.set(part, (this.#micros.get(part) ?? 0) + micros);
  }

  /** The other end says how much of `from` was `to`. */
  split(from: DowntimePart, to: DowntimePart, micros: number): void {
    const moved = Math.min(micros, this.#micros.get(from) ?? 0);
    this.add(from, -moved);
    this.add(to, moved);
  }

  get milliseconds(): DowntimeParts {
    return Object.fromEntries(PARTS.map((part) => [part, (this.#micros.get(part) ?? 0) / 1000])) as DowntimeParts;
  }

  get totalMs(): number {
    return [...this.#micros.values()].reduce((sum, micros) => sum + micros, 0) / 1000;
  }
}
