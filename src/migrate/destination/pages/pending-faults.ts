/**
 * Faults that wait for their page, in shared memory: the fault worker adds them, whichever worker installs the page
 * settles them. A slot holds a page and the time its fault was read. There are no more slots in use than vCPUs and
 * kernel threads can wait at once, so a walk over all of them is short.
 */
import { native } from '../../../native.js';
import type { WaitHistogram } from '../../report/wait-histogram.js';

const SLOTS = 1024;
const FREE = -1;

export class PendingFaults {
  readonly buffer: SharedArrayBuffer;
  readonly #pages: Int32Array;
  readonly #since: Float64Array;
  /** Slots that were ever in use: [highest + 1, faults waiting now]. */
  readonly #bounds: Int32Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(SLOTS * 12 + 8);
    this.#since = new Float64Array(this.buffer, 0, SLOTS);
    this.#pages = new Int32Array(this.buffer, SLOTS * 8, SLOTS);
    this.#bounds = new Int32Array(this.buffer, SLOTS * 12, 2);
    if (buffer === undefined) this.#pages.fill(FREE);
  }

  get waiting(): number {
    return Atomics.load(this.#bounds, 1);
  }

  /** Fault worker only. A fault beyond all slots is served as well, but not measured. */
  add(page: number, since: number): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (Atomics.load(this.#pages, slot) !== FREE) continue;
      this.#since[slot] = since;
      if (slot >= Atomics.load(this.#bounds, 0)) Atomics.store(this.#bounds, 0, slot + 1);
      Atomics.add(this.#bounds, 1, 1);
      Atomics.store(this.#pages, slot, page | 0);
      return;
    }
  }

  /** Whoever waits faults again, and nobody adds or settles meanwhile: what they waited so far was no wait for the source. */
  forget(): void {
    this.#pages.fill(FREE);
    Atomics.store(this.#bounds, 1, 0);
  }

  /** The pages [first, first + count) are installed: measures the faults that waited for them. */
  settle(first: number, count: number, waits: WaitHistogram): void {
    if (this.waiting === 0) return;
    const used = Atomics.load(this.#bounds, 0);
    for (let slot = 0; slot < used; slot++) {
      const page = Atomics.load(this.#pages, slot);
      if (page === FREE || page >>> 0 < first || page >>> 0 >= first + count) continue;
      const since = this.#since[slot]!;
      if (Atomics.compareExchange(this.#pages, slot, page, FREE) !== page) continue;
      Atomics.sub(this.#bounds, 1, 1);
      waits.record(native.monotonicMicros() - since);
    }
  }
}
