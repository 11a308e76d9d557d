import { once } from 'node:events';
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { PostcopyError } from '../errors.js';
import type { SerialHub } from './serial-hub.js';
import type { SerialTarget } from './serial-stdio.js';

/** Who can open the socket is root in the guest's eyes: sockets are made for their owner alone. */
const SOCKET_UMASK = 0o177;

/** Listens on a Unix socket; every client has both directions, as a console has. The socket is removed at the end. */
export async function openUnixTarget(hub: SerialHub, path: string): Promise<SerialTarget> {
  await removeStaleSocket(path);
  const server = createServer({ allowHalfOpen: true }, (client) => hub.addConsole(client));
  await listen(server, path);
  // A client that cannot be accepted (no descriptors left) is lost, the VM is not.
  server.on('error', () => {});
  return {
    async close() {
      // Closing unlinks the path. Clients are the hub's; it ends them.
      server.close();
    },
  };
}

/** Removes a socket that nobody listens on any more. Throws ADDRESS_IN_USE or BAD_CONFIG for anything else. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new PostcopyError('BAD_CONFIG', `${path} exists and is no socket: remove it, or choose another path`);
  if (await someoneListens(path)) {
    throw new PostcopyError('ADDRESS_IN_USE', `another process listens on ${path}: choose another path`);
  }
  unlinkSync(path);
}

async function someoneListens(path: string): Promise<boolean> {
  const probe = connect(path);
  try {
    await once(probe, 'connect');
    return true;
  } catch (error) {
    // EAGAIN: somebody's queue of connections is full. EACCES: it is not ours to remove.
    const code = (error as NodeJS.ErrnoException).code;
    return code !== 'ECONNREFUSED' && code !== 'ENOENT';
  } finally {
    probe.destroy();
  }
}

async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(SOCKET_UMASK);
  try {
    // bind(2) happens in listen(), before it returns.
    server.listen(path);
  } finally {
    process.umask(before);
  }
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `${path}: cannot make the serial port's socket there`, error);
  }
}
