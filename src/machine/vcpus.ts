/** The vCPUs of a machine, from the first to the last moment of their threads. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cleanup } from '../basics/cleanup.js';
import { Deadline } from '../basics/deadline.js';
import { native, type NativeVcpu, type NativeVm } from '../native.js';

/** vCPUs leave the kernel at once when nothing is missing; an emulated host takes its time. */
export const CLOSE_WAIT_MS = 1000;
/** For one that goes as soon as it is told to. */
const SHORTEST_WAIT_MS = 10;

/** `count` of them, parked. `cleanup` gets what takes each back, also if a later one cannot be made. */
export function createVcpus(vm: NativeVm, count: number, cleanup: Cleanup): NativeVcpu[] {
  return Array.from({ length: count }, (_, index) => {
    const vcpu = new native.Vcpu(vm, index);
    cleanup.add(() => void vcpu.close(CLOSE_WAIT_MS));
    return vcpu;
  });
}

/** Between two looks at vCPUs that wait for pages: at first, and at most. */
const LOOK_MS = 1;
const LONGEST_LOOK_MS = 16;

/** vCPUs of a guest that stands still now and then, for pages that are long in coming. */
export class Standstills {
  /** They are asked to park, and have not yet. */
  readonly #asked = new Set<NativeVcpu>();

  constructor(readonly vcpus: readonly NativeVcpu[]) {}

  /**
   * Each vCPU parks as soon as it can, its guest's watchdogs are told, which would take the standstill for a lockup
   * otherwise, and it goes on. Those that an earlier call waits for are left to that. Resolves when all have gone on; early
   * when `goesOn` says that somebody else has them stand still, or go on, by now.
   */
  async excuse(goesOn: () => boolean): Promise<void> {
    if (!goesOn()) return;
    const waiting = new Set(this.vcpus.filter((vcpu) => !this.#asked.has(vcpu)));
    for (const vcpu of waiting) {
      this.#asked.add(vcpu);
      vcpu.requestPause();
    }
    const leave = (vcpu: NativeVcpu) => waiting.delete(vcpu) && this.#asked.delete(vcpu);
    for (let pauseMs = LOOK_MS; goesOn(); pauseMs = Math.min(2 * pauseMs, LONGEST_LOOK_MS)) {
      for (const vcpu of waiting) {
        if (!vcpu.waitParked(0)) continue;
        leave(vcpu);
        vcpu.notePaused();
        vcpu.resume();
      }
      if (waiting.size === 0) return;
      await delay(pauseMs);
    }
    waiting.forEach(leave);
  }
}

/**
 * Ends their threads. False if some still wait in the kernel for pages that do not come: they wait at the same time, so
 * that `waitMs`, for which the event loop stands still, is for all of them together.
 */
export function closeVcpus(vcpus: readonly NativeVcpu[], waitMs: number): boolean {
  const deadline = Deadline.in(waitMs);
  for (const vcpu of vcpus) vcpu.requestPause();
  return vcpus.map((vcpu) => vcpu.close(Math.max(SHORTEST_WAIT_MS, deadline.leftMs))).every(Boolean);
}
