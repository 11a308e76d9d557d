/**
 * Entries of the ledger of guest RAM (memory-ledger.ts): files that their process holds a lock on. One whose process is gone,
 * however it ended, is removed by whoever looks next.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { takeFileLock, type LockFile } from './file-lock.js';
import type { MemoryRoom, ReadText } from './memory-rooms.js';

/** No VM's name begins with a dot. */
const ENTRY_PREFIX = '.ram-';

export interface LedgerEntry {
  pid: number;
  /** Field 22 of /proc/PID/stat: another process of the same number has another. */
  startedAt: string;
  /** Of guest RAM. */
  bytes: number;
  /** Memory that the process had before any of it. */
  baseline: number;
  cgroup?: string | undefined;
}

/** Of a new entry of this process. */
export function entryPath(directory: string): string {
  return join(directory, `${ENTRY_PREFIX}${process.pid}-${process.hrtime.bigint()}`);
}

export function newEntry(bytes: number, cgroup: string | undefined, read: ReadText): LedgerEntry {
  const { pid } = process;
  return { pid, startedAt: startOf(pid, read) ?? '', bytes, baseline: residentBytes(pid, read) ?? 0, cgroup };
}

/** Those of living processes. The others' are removed. */
export function livingEntries(directory: string, lockFile: LockFile): LedgerEntry[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith(ENTRY_PREFIX))
    .flatMap((name) => livingEntry(join(directory, name), lockFile) ?? []);
}

function livingEntry(path: string, lockFile: LockFile): LedgerEntry | undefined {
  const lock = takeFileLock(path, lockFile);
  if (lock === undefined) return decode(path);
  lock.release(); // nobody held it
  return undefined;
}

/** Undefined for what is no entry, or is one no longer. */
function decode(path: string): LedgerEntry | undefined {
  try {
    const { pid, startedAt, bytes, baseline, cgroup } = JSON.parse(readFileSync(path, 'utf8')) as Partial<LedgerEntry>;
    const numbers = [pid, bytes, baseline].every((value) => typeof value === 'number' && value >= 0);
    if (!numbers || (cgroup !== undefined && typeof cgroup !== 'string')) return undefined;
    return { pid: pid!, startedAt: String(startedAt), bytes: bytes!, baseline: baseline!, cgroup };
  } catch {
    return undefined;
  }
}

/** Bytes that these may still come to use of a room. */
export function promisedIn(room: MemoryRoom, entries: readonly LedgerEntry[], read: ReadText): number {
  const { cgroup } = room;
  const inside = (path: string | undefined) =>
    cgroup === undefined || cgroup === '/' || path === cgroup || path?.startsWith(`${cgroup}/`) === true;
  return entries.filter((other) => inside(other.cgroup)).reduce((sum, other) => sum + untouched(other, read), 0);
}

function untouched({ pid, startedAt, bytes, baseline }: LedgerEntry, read: ReadText): number {
  // Of a process in another namespace of process numbers nothing can be told: all of it may still be used.
  const resident = startOf(pid, read) === startedAt ? (residentBytes(pid, read) ?? 0) : 0;
  return Math.max(0, bytes - Math.max(0, resident - baseline));
}

/** Swapped out or not, it has been given already. */
function residentBytes(pid: number, read: ReadText): number | undefined {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return (kilobytes('RssAnon') + kilobytes('RssShmem') + kilobytes('VmSwap')) * 1024;
}

function startOf(pid: number, read: ReadText): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
