/**
 * Priorities (nice values) of the threads of a VM process. Linux keeps them by thread; a process's number is its main
 * thread's. Without the right to raise one (root has it) nothing is changed, as it could not be changed back. Not
 * real-time: SCHED_FIFO runs into throttling.
 */
import { getPriority, setPriority } from 'node:os';
import type { NativeVcpu } from '../native.js';

/** Of every thread of this process that nothing else is said of. */
const USUAL = getPriority(process.pid);

const NICE = {
  /**
   * The main thread, while it makes ready and carries out a hand-over: a guest at full speed, or V8's own threads, must not
   * keep it waiting for a core.
   */
  handOver: -10,
  /**
   * vCPUs while their pages are on their way: they go before the worker that brings them, where both share a core. That
   * worker is never idle; a vCPU runs until it touches the next page that is missing. Three times the weight of the
   * worker's; more makes the push longer, and faults none shorter.
   */
  pulling: Math.max(-20, USUAL - 5),
  /** A worker for faults alone: before everything else on the host. */
  faults: -20,
  /** A worker for bulk: before the guest's own load, which only waits longer for its pages if it keeps them from coming. */
  bulk: -10,
  /** A worker that does both must leave the vCPU whose page it has just installed a core to go on. */
  shared: 0,
};

export function raiseMainThread(): void {
  setMainThread(NICE.handOver);
}

export function lowerMainThread(): void {
  setMainThread(USUAL);
}

function setMainThread(nice: number): void {
  try {
    setPriority(process.pid, nice);
  } catch {
    // It stays as it is.
  }
}

/** Their threads are made while the main thread has a priority of its own, which they would keep. */
export function raiseGuest(vcpus: readonly NativeVcpu[]): void {
  for (const vcpu of vcpus) vcpu.setNice(NICE.pulling);
}

export function lowerGuest(vcpus: readonly NativeVcpu[]): void {
  for (const vcpu of vcpus) vcpu.setNice(USUAL);
}

/** Of a page worker that serves these channels; `copies`: of a guest that runs here, and must not be slowed down by it. */
export function niceFor(kinds: readonly string[], copies = false): number {
  if (!kinds.includes('urgent')) return copies ? NICE.shared : NICE.bulk;
  return kinds.length > 1 ? NICE.shared : NICE.faults;
}
