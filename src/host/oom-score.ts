/**
 * While a VM is in two halves, the end of either process is the end of the guest: the kernel, when it is out of memory, is to
 * take another one first (proc_pid_oom_score_adj(5)). It needs CAP_SYS_RESOURCE; without, things stay as they are.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/proc/self/oom_score_adj';
/** Not the lowest, -1000: a process that cannot be killed at all takes a host down that has nothing else to kill. */
const SPARED = -900;

export class OomScore {
  /** What it was, while it is not. */
  #before: number | undefined;

  constructor(readonly file = FILE) {}

  /** From now on others go first. A second call does nothing. */
  spare(): void {
    if (this.#before !== undefined) return;
    try {
      const before = Number(readFileSync(this.file, 'latin1'));
      if (before <= SPARED) return;
      writeFileSync(this.file, String(SPARED));
      this.#before = before;
    } catch {
      // not permitted, which is usual for who is not root
    }
  }

  /** As it was. */
  restore(): void {
    const before = this.#before;
    this.#before = undefined;
    if (before === undefined) return;
    try {
      writeFileSync(this.file, String(before));
    } catch {
      // it stays spared, which does no harm
    }
  }
}
