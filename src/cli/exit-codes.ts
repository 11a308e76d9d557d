/**
 * Exit codes of all commands. They are stable: scripts rely on them.
 *
 *   0  done; run and receive: the guest powered off, was stopped, or has moved to another host completely
 *   1  an error inside postcopy
 *   2  the command line or a configuration file cannot be used as given
 *   3  this host lacks something: see `postcopy doctor`
 *   4  the kernel or the initrd cannot be loaded
 *   5  another VM process on this host has the name
 *   6  no VM of this name runs on this host
 *   7  the address to listen on is taken
 *   8  the other host, or the VM's process, does not answer; migrate: the VM ended meanwhile
 *   9  the other end is no postcopy, or another version
 *  10  the destination refuses the VM
 *  11  not possible in the VM's present state
 *  12  the migration failed, the VM runs on where it was
 *  13  the migration broke after the hand-over: the VM is at the destination and may lack pages
 *  14  the guest cannot go on
 *  15  stop: the guest did not react to its power button in time, it runs on
 *  16  a disk is in use by another VM, here or on another host
 *  128 + signal  run and receive: ended by a second signal, without waiting for the guest's end
 */
import type { MigrationSummary } from '../migrate/report/summary.js';
import { PostcopyError, type ErrorCode } from '../errors.js';

export const EXIT_OK = 0;
export const EXIT_USAGE = 2;

export const EXIT_CODES: Record<ErrorCode, number> = {
  INTERNAL: 1,
  BAD_CONFIG: EXIT_USAGE,
  HOST_LACKS: 3,
  BAD_KERNEL: 4,
  NAME_IN_USE: 5,
  NO_SUCH_VM: 6,
  ADDRESS_IN_USE: 7,
  UNREACHABLE: 8,
  BAD_PEER: 9,
  REFUSED: 10,
  WRONG_STATE: 11,
  MIGRATION_FAILED: 12,
  LINK_LOST: 13,
  GUEST_FAILED: 14,
  NO_REACTION: 15,
  DISK_IN_USE: 16,
};

const SIGNAL_BASE = 128;

export function exitCodeOfError(error: unknown): number {
  return error instanceof PostcopyError ? EXIT_CODES[error.code] : EXIT_CODES.INTERNAL;
}

/** Whatever the reason: what a script has to know is on which host the VM is. */
export function exitCodeOfMigration(status: MigrationSummary['status']): number {
  if (status === 'completed') return EXIT_OK;
  return status === 'failed' ? EXIT_CODES.MIGRATION_FAILED : EXIT_CODES.LINK_LOST;
}

export function exitCodeOfSignal(signalNumber: number): number {
  return SIGNAL_BASE + signalNumber;
}
