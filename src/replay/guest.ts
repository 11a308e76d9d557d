/** The vCPUs of a trace: each touches its pages in their order, and waits for those that are missing. */
import type { Trace } from '../migrate/prefetch/trace.js';
import type { PageBitmap } from '../memory/page-bitmap.js';
import type { Agenda } from './agenda.js';
import type { Waits } from './waits.js';

interface Vcpu {
  /** Its touches in the trace, and how many of them are done. */
  touches: Uint32Array;
  done: number;
  /** All that it has waited. */
  waited: number;
  waitsSince: number;
}

export class Guest {
  readonly #vcpus: Vcpu[];
  readonly #waiting = new Map<number, Vcpu[]>();
  /** When each touch of the trace was done; Infinity before. */
  readonly touchedAt: Float64Array;

  constructor(
    readonly trace: Trace,
    readonly agenda: Agenda,
    readonly missing: PageBitmap,
    readonly waits: Waits,
    /** Somebody waits for a page, and nobody has before. */
    readonly onFault: (page: number) => void,
  ) {
    this.touchedAt = new Float64Array(trace.times.length).fill(Infinity);
    const counts = new Uint32Array(trace.vcpus);
    for (const vcpu of trace.vcpuOf) counts[vcpu] = (counts[vcpu] as number) + 1;
    this.#vcpus = Array.from(counts, (count) => {
      return { touches: new Uint32Array(count), done: 0, waited: 0, waitsSince: 0 };
    });
    counts.fill(0);
    trace.vcpuOf.forEach((vcpu, i) => {
      this.#vcpu(vcpu).touches[counts[vcpu] as number] = i;
      counts[vcpu] = (counts[vcpu] as number) + 1;
    });
  }

  start(): void {
    for (const vcpu of this.#vcpus) this.#next(vcpu);
  }

  /** These pages are in place. */
  installed(first: number, count: number): void {
    if (this.#waiting.size === 0) return;
    for (let page = first; page < first + count; page++) {
      const vcpus = this.#waiting.get(page);
      if (vcpus === undefined) continue;
      this.#waiting.delete(page);
      for (const vcpu of vcpus) this.#goOn(vcpu);
    }
  }

  #vcpu(index: number): Vcpu {
    return this.#vcpus[index] as Vcpu;
  }

  #next(vcpu: Vcpu): void {
    const touch = vcpu.touches[vcpu.done];
    if (touch === undefined) return;
    this.agenda.note((this.trace.times[touch] as number) + vcpu.waited, () => this.#touch(vcpu, touch));
  }

  #touch(vcpu: Vcpu, touch: number): void {
    const page = this.trace.pageOf[touch] as number;
    if (!this.missing.has(page)) return this.#done(vcpu, touch);
    vcpu.waitsSince = this.agenda.now;
    const others = this.#waiting.get(page);
    if (others !== undefined) others.push(vcpu);
    else {
      this.#waiting.set(page, [vcpu]);
      this.onFault(page);
    }
  }

  #goOn(vcpu: Vcpu): void {
    const { now } = this.agenda;
    this.waits.add(vcpu.waitsSince, now);
    vcpu.waited += now - vcpu.waitsSince;
    this.#done(vcpu, vcpu.touches[vcpu.done] as number);
  }

  #done(vcpu: Vcpu, touch: number): void {
    this.touchedAt[touch] = this.agenda.now;
    vcpu.done++;
    this.#next(vcpu);
  }
}
