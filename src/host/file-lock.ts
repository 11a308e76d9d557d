/** Files of the runtime directory that a process holds a lock on while it lives, and that are removed with the lock. */
import { closeSync, fstatSync, rmSync, statSync } from 'node:fs';

/** The addon's lockFile(): a descriptor that holds a lock on the file; an error with code EWOULDBLOCK if it is taken. */
export type LockFile = (path: string) => number;

export interface FileLock {
  readonly fd: number;
  /** Removes the file. Synchronous, also for use at process exit; a second call does nothing. */
  release(): void;
}

/** A lock on a file that its owner unlinked in the same moment is worth nothing; it then takes another try. */
const TRIES = 100;

/** Makes the file if need be. Undefined if another process holds its lock; throws what lockFile() throws besides. */
export function takeFileLock(path: string, lockFile: LockFile): FileLock | undefined {
  for (let tries = 0; tries < TRIES; tries++) {
    const fd = lockOrNot(path, lockFile);
    if (fd === undefined) return undefined;
    if (isSameFile(fd, path)) return held(path, fd);
    closeSync(fd);
  }
  return undefined;
}

function lockOrNot(path: string, lockFile: LockFile): number | undefined {
  try {
    return lockFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EWOULDBLOCK') return undefined;
    throw error;
  }
}

function held(path: string, fd: number): FileLock {
  let isHeld = true;
  return {
    fd,
    release() {
      if (!isHeld) return;
      isHeld = false;
      // The file goes before the lock: whoever locks it in between sees that the path is another file's, or nobody's.
      try {
        rmSync(path, { force: true });
      } finally {
        closeSync(fd);
      }
    },
  };
}

function isSameFile(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const here = fstatSync(fd);
  return there !== undefined && there.ino === here.ino && there.dev === here.dev;
}
