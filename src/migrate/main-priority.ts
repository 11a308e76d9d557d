/**
 * Priority of the main thread: while it makes ready and carries out a hand-over, a guest at full speed, or V8's own
 * threads, must not keep it waiting for a core. Linux keeps nice values by thread; a process's number is its main
 * thread's.
 */
import { setPriority } from 'node:os';

const HAND_OVER_NICE = -10;

export function raiseMainThread(): void {
  setMainThread(HAND_OVER_NICE);
}

export function lowerMainThread(): void {
  setMainThread(0);
}

function setMainThread(nice: number): void {
  try {
    setPriority(process.pid, nice);
  } catch {
    // not permitted: it goes on as it is
  }
}
