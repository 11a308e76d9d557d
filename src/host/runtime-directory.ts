/** Where the processes of this host's VMs have their files: sockets, locks, logs, and the ledger of memory. */
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { PostcopyError } from '../errors.js';

const DEFAULT_DIRECTORY = '/run/postcopy';
/** Moves it elsewhere, for tests and for users who are not root. */
export const DIRECTORY_VARIABLE = 'POSTCOPY_RUNTIME_DIR';
const OWNER_ONLY = 0o700;
const OTHERS_MAY_WRITE = 0o022;

export function runtimeDirectory(): string {
  return process.env[DIRECTORY_VARIABLE] || DEFAULT_DIRECTORY;
}

/** Makes it if need be. Throws HOST_LACKS when it cannot be made, or when others could put sockets into it. */
export function ensureRuntimeDirectory(): string {
  const directory = runtimeDirectory();
  try {
    makeWithParents(directory);
  } catch (error) {
    throw new PostcopyError(
      'HOST_LACKS',
      `cannot make ${directory}: run as root, or set ${DIRECTORY_VARIABLE} to a directory of your own`,
      error,
    );
  }
  const found = lstatSync(directory);
  if (!found.isDirectory() || found.uid !== process.getuid!() || (found.mode & OTHERS_MAY_WRITE) !== 0) {
    throw new PostcopyError(
      'HOST_LACKS',
      `${directory} is not safe: it must be a directory of yours that nobody else may write to (chmod 700)`,
    );
  }
  return directory;
}

/** Not mkdir's `recursive`: Node tries for ever where a file system, like /proc, answers that with ENOENT. */
function makeWithParents(directory: string): void {
  if (existsSync(directory)) return;
  makeWithParents(dirname(directory));
  try {
    mkdirSync(directory, { mode: OWNER_ONLY });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another VM's process was faster
  }
}
