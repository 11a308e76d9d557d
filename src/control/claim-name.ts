import { closeSync, fstatSync, rmSync, statSync } from 'node:fs';
import { PostcopyError } from '../errors.js';
import { ensureRuntimeDirectory, lockPath, socketPath } from './runtime-directory.js';

/** The addon's lockFile(): a descriptor that holds a lock on the file; an error with code EWOULDBLOCK if it is taken. */
export type LockFile = (path: string) => number;

/** A VM name that belongs to this process. */
export interface NameClaim {
  readonly socketPath: string;
  /** Gives the name back and removes its files. Synchronous, also for use at process exit; a second call does nothing. */
  release(): void;
}

/** A lock on a file that its owner unlinked in the same moment is worth nothing; it then takes another try. */
const TRIES = 100;

/**
 * Takes the name for this process until release() or the process ends, and removes what a dead process left under it.
 * Throws NAME_IN_USE, BAD_CONFIG, or HOST_LACKS.
 */
export function claimName(name: string, lockFile: LockFile): NameClaim {
  const socket = socketPath(name);
  ensureRuntimeDirectory();
  const fd = lock(name, lockFile);
  rmSync(socket, { force: true });
  let held = true;
  return {
    socketPath: socket,
    release() {
      if (!held) return;
      held = false;
      rmSync(socket, { force: true });
      // The file goes before the lock: whoever locks it in between sees that the path is another file's, or nobody's.
      rmSync(lockPath(name), { force: true });
      closeSync(fd);
    },
  };
}

/** Removes the files of a VM whose process is dead; false if it lives. */
export function removeDeadName(name: string, lockFile: LockFile): boolean {
  try {
    claimName(name, lockFile).release();
    return true;
  } catch (error) {
    if (error instanceof PostcopyError && error.code === 'NAME_IN_USE') return false;
    throw error;
  }
}

function lock(name: string, lockFile: LockFile): number {
  const path = lockPath(name);
  for (let tries = 0; tries < TRIES; tries++) {
    const fd = lockOrThrow(name, path, lockFile);
    if (isSameFile(fd, path)) return fd;
    closeSync(fd);
  }
  throw nameInUse(name);
}

function lockOrThrow(name: string, path: string, lockFile: LockFile): number {
  try {
    return lockFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EWOULDBLOCK') throw nameInUse(name);
    throw new PostcopyError('HOST_LACKS', `cannot lock ${path}: is its file system writable?`, error);
  }
}

function isSameFile(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const held = fstatSync(fd);
  return there !== undefined && there.ino === held.ino && there.dev === held.dev;
}

function nameInUse(name: string): PostcopyError {
  return new PostcopyError(
    'NAME_IN_USE',
    `a VM named ${name} runs on this host already: choose another name, or stop it`,
  );
}
