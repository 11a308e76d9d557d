/** Sockets, locks and logs of the VMs of this host, one of each a VM. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SOCKET_PATH_BYTES_MAX } from '../configure/serial-setting.js';
import { checkVmName, isVmName } from '../configure/vm-name.js';
import { PostcopyError } from '../errors.js';
import { DIRECTORY_VARIABLE, runtimeDirectory } from '../host/runtime-directory.js';

const SOCKET_SUFFIX = '.sock';

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
