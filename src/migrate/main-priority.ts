/**
 * Priority of the main thread: while it makes ready and carries out a hand-over, a guest at full speed, or V8's own
 * threads, must not keep it waiting for a core. Linux keeps nice values by thread; a process's number is its main
 * thread's. Without the right to raise it (root has it) nothing is changed, as it could not be changed back.
 */
import { getPriority, setPriority } from 'node:os';

const HAND_OVER_NICE = -10;
const USUAL_NICE = getPriority(process.pid);
const LEAST_NICE = 19;

export function raiseMainThread(): void {
  setMainThread(HAND_OVER_NICE);
}

export function lowerMainThread(): void {
  setMainThread(USUAL_NICE);
}

/** Work that must not keep a vCPU waiting for a core. */
export function atLeastPriority<T>(work: () => T): T {
  const permitted = setMainThread(HAND_OVER_NICE) && setMainThread(LEAST_NICE);
  try {
    return work();
  } finally {
    if (permitted) setMainThread(USUAL_NICE);
  }
}

function setMainThread(nice: number): boolean {
  try {
    setPriority(process.pid, nice);
    return true;
  } catch {
    return false;
  }
}
