/**
 * Which pages of a machine's RAM are written while it runs, whoever writes them: vCPUs, disks, network interfaces, the
 * device worker. What is sent of such a guest is made good by it.
 *
 *   userfaultfd   Linux 6.7: the kernel write-protects pages and takes that off at the first write, which costs the writer
 *                 a fault, but no switch to anybody. It sees all writes of this process, on every kind of machine.
 */
import type { MachineName } from '../configure/machine-setting.js';
import { PostcopyError } from '../errors.js';
import { native, type DirtyLogKind, type NativeDirtyLog, type NativeMemory } from '../native.js';

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

/** Rejects with HOST_LACKS where nothing can tell. */
export async function beginDirtyLog(machine: MachineName, memory: NativeMemory): Promise<DirtyLog> {
  try {
    return await begun(new native.DirtyLog('userfaultfd', memory));
  } catch (error) {
    throw new PostcopyError('HOST_LACKS', `${LACKING[machine]}: a guest can leave it by post-copy alone`, error);
  }
}

const TELLS_NOT = 'this host cannot tell which pages a guest writes';
const LACKING: Record<MachineName, string> = {
  kvm: `${TELLS_NOT}, which takes Linux 6.7 with userfaultfd`,
  threads: `${TELLS_NOT}, which takes Linux 6.7 with userfaultfd for a machine of threads`,
};

async function begun(log: NativeDirtyLog): Promise<DirtyLog> {
  try {
    await log.begin();
  } catch (error) {
    log.end();
    throw error;
  }
  return log;
}
