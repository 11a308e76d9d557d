/**
 * Priority of the main thread: while it makes ready and carries out a hand-over, a guest at full speed, or V8's own
 * threads, must not keep it waiting for a core. Linux keeps nice values by thread; a process's number is its main
 * thread's. Without the right to raise it (root has it) nothing is changed, as it could not be changed back.
 */
import { getPriority, setPriority } from 'node:os';

const HAND_OVER_NICE = -10;
/** Of every thread of this process that nothing else is said of. */
export const USUAL_NICE = getPriority(process.pid);

export function raiseMainThread(): void {
  setMainThread(HAND_OVER_NICE);
}

export function lowerMainThread(): void {
  setMainThread(USUAL_NICE);
}

function setMainThread(nice: number): void {
  try {
    setPriority(process.pid, nice);
  } catch {
    // It stays as it is.
  }
}
