import { once } from 'node:events';
import { constants, createWriteStream, lstatSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { PostcopyError } from '../errors.js';
import type { SerialHub } from './serial-hub.js';
import type { SerialTarget } from './serial-stdio.js';

/** Consoles show passwords: nobody but the owner reads the log. */
const FILE_MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Appends the serial port's output to a file; there is no input but from consoles. When writing fails later (a full
 * disk), the guest goes on without it.
 */
export async function openFileTarget(hub: SerialHub, path: string): Promise<SerialTarget> {
  refuseSpecialFile(path);
  const file = createWriteStream(path, { fd: openLog(path) });
  hub.addReader(file);
  return {
    async close() {
      if (file.destroyed) return;
      file.end();
      await once(file, 'close').catch(() => {});
    },
  };
}

/** Opening a FIFO waits for a reader. */
function refuseSpecialFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile() || found.isCharacterDevice()) return;
  throw new PostcopyError('BAD_CONFIG', `${path} is no regular file: the serial port's output cannot be written there`);
}

/** The process may be root: a link that somebody else has put there would have the guest write to any file of the host. */
function openLog(path: string): number {
  const follow = isLink(path) && isOurs(dirname(path)) ? 0 : constants.O_NOFOLLOW;
  try {
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | follow, FILE_MODE);
  } catch (error) {
    const isForeign = (error as NodeJS.ErrnoException).code === 'ELOOP';
    const why = isForeign
      ? 'it is a symbolic link, in a directory where others may put one; name the file itself'
      : "cannot write the serial port's output there";
    throw new PostcopyError('BAD_CONFIG', `${path}: ${why}`, error);
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** Nobody but this user and root puts anything into the directory. */
function isOurs(directory: string): boolean {
  const { uid, mode } = statSync(directory);
  return (uid === 0 || uid === process.geteuid?.()) && (mode & WRITABLE_BY_OTHERS) === 0;
}
