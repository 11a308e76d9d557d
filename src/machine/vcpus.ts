/** The vCPUs of a machine, from the first to the last moment of their threads. */
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

/**
 * Ends their threads. False if some still wait in the kernel for pages that do not come: they wait at the same time, so
 * that `waitMs`, for which the event loop stands still, is for all of them together.
 */
export function closeVcpus(vcpus: readonly NativeVcpu[], waitMs: number): boolean {
  const deadline = Deadline.in(waitMs);
  for (const vcpu of vcpus) vcpu.requestPause();
  return vcpus.map((vcpu) => vcpu.close(Math.max(SHORTEST_WAIT_MS, deadline.leftMs))).every(Boolean);
}
