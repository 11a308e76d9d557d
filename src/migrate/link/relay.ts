/**
 * Joins a TLS connection with one end of a local socket pair. Whoever has the other end sends and receives plain bytes, on
 * whatever thread it is, as on a TCP connection of its own.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { native } from '../../native.js';

/** Time for the other host to close its side of a connection that has ended here. */
const LINGER_MS = 2000;

/** Resolves when both are closed. What is on its way when one of them ends, and does not break, is still delivered. */
async function relay(secure: Duplex, local: Socket): Promise<void> {
  secure.pipe(local);
  local.pipe(secure);
  const ended = Promise.all([closed(secure), closed(local)]);
  secure.on('error', () => {}); // 'close' follows
  local.on('error', () => {});
  secure.once('close', () => local.destroySoon());
  local.once('close', () => {
    secure.end();
    const limit = setTimeout(() => secure.destroy(), LINGER_MS);
    secure.once('close', () => clearTimeout(limit));
    secure.resume(); // nobody reads what still comes
  });
  await ended;
}

function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => (stream.closed ? resolve() : stream.once('close', () => resolve())));
}

/** The relays of one thread. */
export class Relays {
  readonly #all = new Set<Promise<void>>();

  /** Relays a connection to the descriptor that it returns, which is the caller's. */
  add(secure: Duplex): number {
    const [ours, theirs] = native.socketPair();
    this.join(secure, ours);
    return theirs;
  }

  /** Relays it to this end of a socket pair. */
  join(secure: Duplex, fd: number): void {
    const over = relay(secure, new Socket({ fd, allowHalfOpen: true }));
    this.#all.add(over);
    void over.then(() => this.#all.delete(over));
  }

  /** Resolves when all that are there now are over. */
  async over(): Promise<void> {
    await Promise.all(this.#all);
  }
}
