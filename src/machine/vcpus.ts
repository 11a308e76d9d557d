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

/** Between two looks at vCPUs that wait for pages. */
const LOOK_MS = 1;

/**
 * vCPUs may have stood still for long, in faults on pages that did not come: each parks as soon as it can, its guest's
 * watchdogs are told, which would take it for a lockup otherwise, and it goes on. Over early when `goesOn` says that somebody
 * else has them stand still by now.
 */
export async function excuseStandstill(vcpus: readonly NativeVcpu[], goesOn: () => boolean): Promise<void> {
  const asked = new Set(vcpus);
  for (const vcpu of asked) vcpu.requestPause();
  for (;;) {
    if (!goesOn()) return;
    for (const vcpu of asked) {
      if (!vcpu.waitParked(0)) continue;
      asked.delete(vcpu);
      vcpu.notePaused();
      vcpu.resume();
    }
    if (asked.size === 0) return;
    await delay(LOOK_MS);
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
