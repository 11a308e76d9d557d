import { rmSync } from 'node:fs';
import { PostcopyError } from '../errors.js';
import { takeFileLock, type FileLock, type LockFile } from '../host/file-lock.js';
import { livingEntries } from '../host/ledger-entries.js';
import { ensureRuntimeDirectory, runtimeDirectory } from '../host/runtime-directory.js';
import { lockPath, socketPath } from './runtime-directory.js';

/** A VM name that belongs to this process. */
export interface NameClaim {
  readonly socketPath: string;
  /** Gives the name back and removes its files. Synchronous, also for use at process exit; a second call does nothing. */
  release(): void;
}

/**
 * Takes the name for this process until release() or the process ends, and removes what a dead process left under it.
 * Throws NAME_IN_USE, BAD_CONFIG, or HOST_LACKS.
 */
export function claimName(name: string, lockFile: LockFile): NameClaim {
  const socket = socketPath(name);
  ensureRuntimeDirectory();
  const lock = takeLock(name, lockFile);
  rmSync(socket, { force: true });
  let held = true;
  return {
    socketPath: socket,
    release() {
      if (!held) return;
      held = false;
      rmSync(socket, { force: true });
      lock.release();
    },
  };
}

/** Removes the files of a VM whose process is dead, and its entry in the ledger of memory; false if it lives. */
export function removeDeadName(name: string, lockFile: LockFile): boolean {
  try {
    claimName(name, lockFile).release();
    livingEntries(runtimeDirectory(), lockFile);
    return true;
  } catch (error) {
    if (error instanceof PostcopyError && error.code === 'NAME_IN_USE') return false;
    throw error;
  }
}

function takeLock(name: string, lockFile: LockFile): FileLock {
  const path = lockPath(name);
  let lock: FileLock | undefined;
  try {
    lock = takeFileLock(path, lockFile);
  } catch (error) {
    throw new PostcopyError('HOST_LACKS', `cannot lock ${path}: is its file system writable?`, error);
  }
  if (lock === undefined) throw nameInUse(name);
  return lock;
}

function nameInUse(name: string): PostcopyError {
  return new PostcopyError(
    'NAME_IN_USE',
    `a VM named ${name} runs on this host already: choose another name, or stop it`,
  );
}
