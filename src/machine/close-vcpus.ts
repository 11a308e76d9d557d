import { Deadline } from '../basics/deadline.js';
import type { NativeVcpu } from '../native.js';

/** vCPUs leave the kernel at once when nothing is missing; an emulated host takes its time. */
export const CLOSE_WAIT_MS = 1000;
/** For one that goes as soon as it is told to. */
const SHORTEST_WAIT_MS = 10;

/**
 * Ends their threads. False if some still wait in the kernel for pages that do not come: they wait at the same time, so
 * that `waitMs`, for which the event loop stands still, is for all of them together.
 */
export function closeVcpus(vcpus: readonly NativeVcpu[], waitMs: number): boolean {
  const deadline = Deadline.in(waitMs);
  for (const vcpu of vcpus) vcpu.requestPause();
  return vcpus.map((vcpu) => vcpu.close(Math.max(SHORTEST_WAIT_MS, deadline.leftMs))).every(Boolean);
}
