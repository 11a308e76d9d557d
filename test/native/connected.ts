import { onTestFinished } from 'vitest';
import { native, type Socket } from '../../src/native.js';
import { PATIENCE_MS, readable } from './threads.js';

/** Both ends of a TCP connection of this host with itself, and what it was taken from; closed when the test is over. */
export async function connected(): Promise<{ client: Socket; server: Socket; listener: Socket }> {
  const listener = new native.Socket('listen', '127.0.0.1', 0);
  const client = new native.Socket('connect', '127.0.0.1', listener.port, PATIENCE_MS);
  await readable(listener.fd);
  const server = new native.Socket('adopt', listener.accept());
  onTestFinished(() => {
    for (const socket of [listener, client, server]) socket.close();
  });
  return { client, server, listener };
}
