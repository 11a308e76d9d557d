/**
 * The ledger of this host's guest RAM: what each VM may come to use, whether it has touched it by now or not. Two VMs that
 * come in the same second would otherwise both be given the same memory, and a VM that runs would be given away what it has
 * not touched yet. Where the directory cannot be written, VMs come and run all the same, on what the host says
 * alone.
 */
import { ftruncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PostcopyError } from '../errors.js';
import { native } from '../native.js';
import { takeFileLock, type FileLock, type LockFile } from './file-lock.js';
import { entryPath, livingEntries, newEntry, promisedIn, type LedgerEntry } from './ledger-entries.js';
import { ownCgroup, readText, type MemoryRoom, type ReadText } from './memory-rooms.js';
import { ensureRuntimeDirectory } from './runtime-directory.js';

/** Held while entries are looked at and made. */
const LEDGER_LOCK = '.ledger';
/** Whoever holds it is done in milliseconds, unless it was stopped in them. */
const LOCK_TRIES = 100;
const LOCK_PAUSE_MS = 20;

/** Guest RAM that this process has been promised. */
export interface MemoryPromise {
  /** A second call does nothing. */
  release(): void;
}

export const NO_PROMISE: MemoryPromise = { release: () => {} };

/** Tells whether a promise may be made, from what other processes of this host may still come to use in a room. */
export type MayPromise = (promised: (room: MemoryRoom) => number) => void;

export interface LedgerParts {
  directory(): string;
  lockFile: LockFile;
  read: ReadText;
}

const PARTS: LedgerParts = {
  directory: ensureRuntimeDirectory,
  lockFile: (path) => native.lockFile(path),
  read: readText,
};

/**
 * Writes a promise of so many bytes down, if `mayPromise` does not throw; what it throws is thrown. No other promise is made
 * on this host meanwhile. `problem` is told where the ledger cannot be kept.
 */
export async function promiseMemory(
  bytes: number,
  mayPromise: MayPromise,
  problem: (error: unknown) => void,
  parts = PARTS,
): Promise<MemoryPromise> {
  const ledger = await openLedger(parts, problem);
  try {
    const others = ledger?.entries() ?? [];
    mayPromise((room) => promisedIn(room, others, parts.read));
    return ledger?.add(bytes) ?? NO_PROMISE;
  } finally {
    ledger?.close();
  }
}

async function openLedger(parts: LedgerParts, problem: (error: unknown) => void): Promise<Ledger | undefined> {
  try {
    const directory = parts.directory();
    return new Ledger(directory, await takeLock(join(directory, LEDGER_LOCK), parts), parts, problem);
  } catch (error) {
    problem(error);
    return undefined;
  }
}

async function takeLock(path: string, { lockFile }: LedgerParts): Promise<FileLock> {
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    const lock = takeFileLock(path, lockFile);
    if (lock !== undefined) return lock;
    await delay(LOCK_PAUSE_MS);
  }
  throw new PostcopyError('HOST_LACKS', `another process holds ${path}`);
}

/** Released when the process ends by process.exit() as well. */
const untilExit = new Set<FileLock>();

function heldUntilExit(lock: FileLock): MemoryPromise {
  if (untilExit.size === 0) process.once('exit', releaseAll);
  untilExit.add(lock);
  return {
    release() {
      untilExit.delete(lock);
      if (untilExit.size === 0) process.off('exit', releaseAll);
      lock.release();
    },
  };
}

function releaseAll(): void {
  for (const lock of untilExit) lock.release();
}

/** Its lock is held until close(). */
class Ledger {
  constructor(
    readonly directory: string,
    readonly lock: FileLock,
    readonly parts: LedgerParts,
    readonly problem: (error: unknown) => void,
  ) {}

  /** Those of living processes. */
  entries(): LedgerEntry[] {
    try {
      return livingEntries(this.directory, this.parts.lockFile);
    } catch (error) {
      this.problem(error);
      return [];
    }
  }

  /** Undefined if it cannot be written. */
  add(bytes: number): MemoryPromise | undefined {
    let lock: FileLock | undefined;
    try {
      const { lockFile, read } = this.parts;
      lock = takeFileLock(entryPath(this.directory), lockFile);
      if (lock === undefined) return undefined; // nobody else makes one of that name
      const written = newEntry(bytes, ownCgroup(read), read);
      ftruncateSync(lock.fd);
      writeSync(lock.fd, JSON.stringify(written));
      return heldUntilExit(lock);
    } catch (error) {
      lock?.release();
      this.problem(error);
      return undefined;
    }
  }

  close(): void {
    this.lock.release();
  }
}
