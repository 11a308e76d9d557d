import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SOCKET_PATH_BYTES_MAX } from '../configure/serial-setting.js';
import { checkVmName, isVmName } from '../configure/vm-name.js';
import { PostcopyError } from '../errors.js';

/** Sockets, locks and logs of the VMs of this host, one of each a VM. */
const DEFAULT_DIRECTORY = '/run/postcopy';
/** Moves it elsewhere, for tests and for users who are not root. */
const DIRECTORY_VARIABLE = 'POSTCOPY_RUNTIME_DIR';
const OWNER_ONLY = 0o700;
const OTHERS_MAY_WRITE = 0o022;
const SOCKET_SUFFIX = '.sock';

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

/** Path of the VM's control socket. Throws BAD_CONFIG for a name or a directory that makes no socket path. */
export function socketPath(name: string): string {
  const path = join(runtimeDirectory(), checkVmName(name) + SOCKET_SUFFIX);
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new PostcopyError(
      'BAD_CONFIG',
      `${path} is too long for a socket (${SOCKET_PATH_BYTES_MAX} bytes): choose a shorter name or ${DIRECTORY_VARIABLE}`,
    );
  }
  return path;
}

/** Path of the file that the VM's process holds a lock on while it lives. */
export function lockPath(name: string): string {
  return join(runtimeDirectory(), `${checkVmName(name)}.lock`);
}

/** Path of what the VM's process says when it is in the background. */
export function logPath(name: string): string {
  return join(runtimeDirectory(), `${checkVmName(name)}.log`);
}

/** Names that have a control socket, alive or not, in order. Throws HOST_LACKS where this user may not look. */
export function listNames(): string[] {
  return filesOf(runtimeDirectory())
    .filter((file) => file.endsWith(SOCKET_SUFFIX))
    .map((file) => file.slice(0, -SOCKET_SUFFIX.length))
    .filter(isVmName)
    .sort();
}

function filesOf(directory: string): string[] {
  try {
    return existsSync(directory) ? readdirSync(directory) : [];
  } catch (error) {
    throw new PostcopyError(
      'HOST_LACKS',
      `cannot read ${directory}: run as its owner, or set ${DIRECTORY_VARIABLE} to a directory of your own`,
      error,
    );
  }
}
