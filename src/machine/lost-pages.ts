/**
 * Pages of a guest's RAM that are lost to a memory error of this host, or were to one of a host that the guest has come from.
 * A vCPU that comes to one stands still; it goes on when the guest has been told (machine-check.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Deadline } from '../basics/deadline.js';
import type { NativeVcpu } from '../native.js';

/** Between two looks at vCPUs that are to park. */
const LOOK_MS = 1;
/** On its way to park, a vCPU waits for nothing but a core. */
const STOP_LIMIT_MS = 10_000;

/** What a machine lets be done with its vCPUs. */
export interface StoppedVcpus {
  readonly vcpus: readonly NativeVcpu[];
  /** They are to run, as far as anybody else is concerned. */
  runs(): boolean;
  /** The guest is told, as all of them stand still. False if it cannot be. */
  tell(vcpu: number, page: number): boolean;
}

export class LostPages {
  readonly #pages = new Set<number>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly machine: StoppedVcpus) {}

  /** Pages that somebody has come to, and pages that came as lost. */
  get count(): number {
    return this.#pages.size;
  }

  /** True of one that was not known. */
  add(page: number): boolean {
    const { size } = this.#pages;
    return this.#pages.add(page).size > size;
  }

  /**
   * That vCPU has come to a lost page, and stands still. One after the other: a guest takes one machine check at a time, and
   * all of its vCPUs hear of each. False if the guest cannot be told, and cannot go on.
   */
  async met(vcpu: number, page: number): Promise<boolean> {
    if (!(await this.#stops(vcpu))) return true;
    const told = this.#last.then(() => this.#tell(vcpu, page));
    this.#last = told.catch(() => {});
    return told;
  }

  /** It says so before it has parked. False if it has gone on since. */
  async #stops(index: number): Promise<boolean> {
    const { machine } = this;
    const limit = Deadline.in(STOP_LIMIT_MS);
    while (machine.runs() && limit.leftMs > 0) {
      if (machine.vcpus[index]!.waitParked(0)) return true;
      await delay(LOOK_MS);
    }
    return false;
  }

  async #tell(index: number, page: number): Promise<boolean> {
    const { machine } = this;
    const { vcpus } = machine;
    // It goes on by now, or will: what it is to do first, or be told of, leads it there again.
    const stands = () => machine.runs() && vcpus[index]!.waitParked(0);
    for (;;) {
      if (!stands()) return true;
      for (const vcpu of vcpus) vcpu.requestPause();
      if (vcpus.every((vcpu) => vcpu.waitParked(0))) break;
      await delay(LOOK_MS);
    }
    if (!machine.tell(index, page)) return false;
    for (const vcpu of vcpus) vcpu.resume();
    return true;
  }
}
