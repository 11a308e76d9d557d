/**
 * Which pages of a machine's RAM are written while it runs, whoever writes them: vCPUs, disks, network interfaces, the
 * device worker. What was sent of such a guest is made good by it. The first of these that the host has:
 *
 *   userfaultfd   Linux 6.7: pages are write-protected, and the kernel takes that off by itself at the first write, which
 *                 costs the writer a fault. It sees all writes of this process, on every kind of machine.
 *   kvm           KVM's own log, which knows of vCPUs alone, and marks of what this process writes.
 */
import type { MachineName } from '../configure/machine-setting.js';
import { PostcopyError } from '../errors.js';
import { native, type DirtyLogKind, type NativeDirtyLog, type NativeMemory, type NativeVm } from '../native.js';

export interface DirtyLog {
  readonly kind: DirtyLogKind;
  /**
   * Pages written by anybody since the last call, the first time since the log was begun: ascending [first page, pages] pairs.
   * On another thread; the guest may run meanwhile, and a page written while this runs is in this answer or the next. A page
   * that was given back to the host (NativeMemory.release) is told once it holds data again, if not before. Rejects with code
   * EBADF behind end().
   */
  collect(): Promise<Uint32Array>;
  /** The same on this thread, for a guest that stands still. */
  collectNow(): Uint32Array;
  /** The guest runs as before; harmless if called twice. */
  end(): void;
}

interface Written {
  memory: NativeMemory;
  vm: NativeVm;
}

const OPEN: Record<DirtyLogKind, (written: Written) => NativeDirtyLog> = {
  userfaultfd: ({ memory }) => new native.DirtyLog('userfaultfd', memory),
  kvm: ({ memory, vm }) => new native.DirtyLog('kvm', memory, vm),
};

/** The better one first. */
const KINDS: Record<MachineName, readonly DirtyLogKind[]> = { kvm: ['userfaultfd', 'kvm'], threads: ['userfaultfd'] };

const LACKING: Record<MachineName, string> = {
  kvm: 'Linux 6.7, with userfaultfd, or a KVM whose dirty log can be cleared in parts (Linux 5.2)',
  threads: 'Linux 6.7, with userfaultfd, on a machine of threads',
};

/** Rejects with HOST_LACKS where nothing can tell. */
export async function beginDirtyLog(machine: MachineName, written: Written): Promise<DirtyLog> {
  const failures: unknown[] = [];
  for (const kind of KINDS[machine]) {
    try {
      return await begun(OPEN[kind](written));
    } catch (error) {
      failures.push(error);
    }
  }
  throw new PostcopyError(
    'HOST_LACKS',
    `this host cannot tell which pages a guest writes, which takes ${LACKING[machine]}: the guest can leave by post-copy`,
    failures[0],
  );
}

async function begun(log: NativeDirtyLog): Promise<DirtyLog> {
  try {
    await log.begin();
  } catch (error) {
    log.end();
    throw error;
  }
  return log;
}
