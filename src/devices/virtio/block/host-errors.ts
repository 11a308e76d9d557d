/**
 * Errors of the host behind a disk: what becomes of the guest then, how they are counted, and their words. The device worker
 * notes them, the main thread reads the count.
 */
import { constants as os } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import type { DiskErrorAction } from '../../../configure/disk.js';

const { EDQUOT, ENOSPC } = os.errno;
/** For the operator; a guest that tries again and again could have a log filled with them. */
const REPORTS_MAX = 10;

/** What the main thread is told of a disk for which the guest is to stop. */
export interface DiskFailure {
  /** Of the disk. */
  id: string;
  /** `no space left on device` */
  error: string;
  /** The request is kept, and begun anew when the guest goes on; else the guest is given the error then. */
  kept: boolean;
}

export interface HostErrorTotals {
  count: number;
  /** The last one: `no space left on device`. */
  last: string;
  /** Of the last one: milliseconds since 1970, clock of this host. */
  at: number;
}

const [COUNT, ERRNO, AT] = [0, 1, 2] as const;

/** Of one disk, for as long as it is open on this host; shared between threads. */
export class HostErrorCount {
  /** `shared`: of the count on another thread. */
  constructor(readonly shared = new BigInt64Array(new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT))) {}

  note(errno: number, nowMs: number): void {
    Atomics.store(this.shared, ERRNO, BigInt(errno));
    Atomics.store(this.shared, AT, BigInt(Math.round(nowMs)));
    Atomics.add(this.shared, COUNT, 1n);
  }

  /** Undefined if there was none. */
  read(): HostErrorTotals | undefined {
    const [count, errno, at] = [COUNT, ERRNO, AT].map((index) => Number(Atomics.load(this.shared, index)));
    return count === 0 ? undefined : { count: count!, last: errorText(errno!), at: at! };
  }
}

export interface HostErrorHooks {
  /** For the operator. */
  report(text: string): void;
  /** The guest is to stop. */
  stop(failure: DiskFailure): void;
}

/** Notes each error of one disk, and says what becomes of the guest. */
export class HostErrors {
  #reports = 0;

  constructor(
    readonly disk: { id: string; onError: DiskErrorAction | undefined },
    readonly count: HostErrorCount,
    readonly hooks: HostErrorHooks,
  ) {}

  /** Whether the guest is to stop for it: unless somebody has said, where making room is all that it takes. */
  stopsFor(errno: number): boolean {
    const { onError } = this.disk;
    return onError === undefined ? errno === ENOSPC || errno === EDQUOT : onError === 'stop';
  }

  note(errno: number): void {
    this.count.note(errno, Date.now());
  }

  stop(errno: number, kept: boolean): void {
    this.hooks.stop({ id: this.disk.id, error: errorText(errno), kept });
  }

  report(errno: number): void {
    if (this.#reports++ >= REPORTS_MAX) return;
    const last = this.#reports === REPORTS_MAX ? '; its status counts those that follow' : '';
    this.hooks.report(`disk ${this.disk.id}: the host has failed a request of the guest's: ${errorText(errno)}${last}`);
  }
}

function errorText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
}
