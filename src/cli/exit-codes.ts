/** Exit codes of all commands. They are stable: scripts rely on them. */
import type { MigrationSummary } from '../migrate/report/summary.js';
import { PostcopyError, type ErrorCode } from '../errors.js';

export const EXIT_OK = 0;
export const EXIT_USAGE = 2;

interface Exit {
  code: number;
  /** In a few words, as `--help` has it. */
  meaning: string;
}

export const EXITS: Record<ErrorCode, Exit> = {
  INTERNAL: { code: 1, meaning: 'internal' },
  // The command line, or a configuration file.
  BAD_CONFIG: { code: EXIT_USAGE, meaning: 'usage' },
  HOST_LACKS: { code: 3, meaning: 'host lacks something' },
  BAD_KERNEL: { code: 4, meaning: 'bad kernel' },
  NAME_IN_USE: { code: 5, meaning: 'name in use' },
  // `migrate`: the VM ended here meanwhile.
  NO_SUCH_VM: { code: 6, meaning: 'no such VM' },
  ADDRESS_IN_USE: { code: 7, meaning: 'address in use' },
  // The other host, or the VM's process.
  UNREACHABLE: { code: 8, meaning: 'unreachable' },
  BAD_PEER: { code: 9, meaning: 'bad peer' },
  REFUSED: { code: 10, meaning: 'refused' },
  WRONG_STATE: { code: 11, meaning: 'wrong state' },
  MIGRATION_FAILED: { code: 12, meaning: 'migration failed and the VM runs on' },
  // The VM is at the destination, and may lack pages.
  LINK_LOST: { code: 13, meaning: 'link lost after the hand-over' },
  GUEST_FAILED: { code: 14, meaning: 'guest failed' },
  NO_REACTION: { code: 15, meaning: 'guest did not react to its power button' },
  DISK_IN_USE: { code: 16, meaning: 'disk in use' },
};

/** 128 + signal: `run` and `receive`, ended by a second signal, without waiting for the guest's end; `migrate` by Ctrl-C. */
const SIGNAL_BASE = 128;

export function exitCodeOf(code: ErrorCode): number {
  return EXITS[code].code;
}

export function exitCodeOfError(error: unknown): number {
  return exitCodeOf(error instanceof PostcopyError ? error.code : 'INTERNAL');
}

/** What of a migration that failed is the destination's: another host may take the VM, where this one will not. */
const ANOTHER_HOST: ReadonlySet<string> = new Set<ErrorCode>(['UNREACHABLE', 'BAD_PEER', 'REFUSED']);

/**
 * What a script has to know: whether the VM is still here (not so with LINK_LOST), and whether to try the same host again
 * (MIGRATION_FAILED) or another one.
 */
export function exitCodeOfMigration({ status, error }: Pick<MigrationSummary, 'status' | 'error'>): number {
  if (status === 'completed' || status === 'dry-run') return EXIT_OK;
  if (status === 'link-lost') return exitCodeOf('LINK_LOST');
  return exitCodeOf(ANOTHER_HOST.has(error?.code ?? '') ? (error?.code as ErrorCode) : 'MIGRATION_FAILED');
}

export function exitCodeOfSignal(signalNumber: number): number {
  return SIGNAL_BASE + signalNumber;
}

/** Each with its meaning, in order. */
export function exitCodesText(): string {
  const exits = [{ code: EXIT_OK, meaning: 'done' }, ...Object.values(EXITS)];
  return exits.map(({ code, meaning }) => `${code} ${meaning}`).join(', ');
}
