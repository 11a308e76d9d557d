/** A connected pair of TCP sockets over loopback, set up as page channels are. */
import { native, type Socket } from '../../src/native.js';
import { PATIENCE_MS, waitReadable } from './workers.js';

export interface Channel {
  source: Socket;
  destination: Socket;
  /** Takes, at the other end, what was sent. */
  drain(from: 'source' | 'destination', bytes: number): void;
  close(): void;
}

const ROOM = new Uint8Array(1024 * 1024);

export function openChannel(): Channel {
  const listener = new native.Socket('listen', '127.0.0.1', 0);
  const source = new native.Socket('connect', '127.0.0.1', listener.port, PATIENCE_MS);
  waitReadable(listener.fd);
  const destination = new native.Socket('adopt', listener.accept());
  listener.close();
  for (const socket of [source, destination]) socket.configure({ noDelay: 1, congestion: 'cubic' });
  const ends = { source, destination };
  return {
    ...ends,
    drain(from, bytes) {
      const got = ends[from].receive(ROOM, 0, bytes, bytes, PATIENCE_MS);
      if (got !== bytes) throw new Error(`${got} bytes came, not ${bytes}`);
    },
    close() {
      source.close();
      destination.close();
    },
  };
}
