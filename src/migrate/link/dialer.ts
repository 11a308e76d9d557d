/**
 * How a source reaches its destination: straight by TCP, or through a worker that takes each connection through TLS and
 * relays it. Whoever wants a connection, on whatever thread, gets a socket that carries plain bytes.
 */
import { Socket } from 'node:net';
import { whileWanted } from '../../basics/while-wanted.js';
import { formatAddress, type Address } from '../../configure/address.js';
import type { Security } from '../../configure/security.js';
import { PostcopyError, type ErrorCode, type Fact } from '../../errors.js';
import { native } from '../../native.js';
import { WorkerCode } from '../../threads/worker-code.js';
import { WorkerHandle } from '../../threads/worker-handle.js';
import { connectTo } from './connect-to.js';
import type { TlsSecurity } from './tls.js';

/** A destination as threads are told of it. */
export interface Route extends Address {
  /** Where descriptors are written that are to be connected with it (askForRelay); undefined: straight by TCP. */
  line?: number | undefined;
}

/** Any message behind it ends the dialer. */
export interface TlsDialerJob extends Address {
  security: TlsSecurity;
  /** It reads 32-bit numbers of descriptors, which become its own; with TAKES_FD or without. */
  line: number;
}

export type TlsDialerNews =
  /** The other end has proved who it is. */
  | { type: 'dialled'; fd: number }
  /** And the descriptor is closed. */
  | { type: 'not-dialled'; fd: number; code: ErrorCode; message: string; facts: readonly Fact[] };

/**
 * With the number of a descriptor: whoever asks would as soon have a descriptor of the connection itself, which the kernel
 * encrypts. What comes first through the other end is its number then, or RELAYED.
 */
export const TAKES_FD = 0x8000_0000;
export const RELAYED = 0xffff_ffff;
export const FD_BYTES = 4;

/** A descriptor whose other end the dialer connects with the destination; closed if that fails. */
export function askForRelay(line: number, options = 0): { mine: number; theirs: number } {
  const [mine, theirs] = native.socketPair();
  const asked = new Uint8Array(Uint32Array.of(theirs + options).buffer);
  if (native.writeFd(line, asked) === asked.length) return { mine, theirs };
  native.closeFd(mine);
  native.closeFd(theirs);
  throw new PostcopyError('INTERNAL', 'the dialer takes no more');
}

export class Dialer {
  readonly #relay: RelayDialer | undefined;
  /** As it was given; from the first connection on, the one address of it that answered. */
  #address: Address;
  /** As it was given. */
  readonly peer: string;

  /** Throws if a thread or a descriptor is not to be had. */
  constructor({ host, port, security }: Address & { security: Security }) {
    this.#address = { host, port };
    this.peer = formatAddress(this.#address);
    this.#relay = security.kind === 'plain' ? undefined : new RelayDialer(this.#address, security);
  }

  /** How page channels reach the other end of the control channel, whose address is `remote`. */
  routeTo(remote: Address): Route {
    return this.#relay === undefined ? remote : { ...this.#address, line: this.#relay.line };
  }

  /** A connection whose other end has proved who it is. Throws UNREACHABLE, BAD_PEER or REFUSED, or what `signal` is aborted with. */
  async connect(signal: AbortSignal): Promise<Socket> {
    if (this.#relay !== undefined) return this.#relay.connect(signal);
    const socket = await connectTo(this.#address, signal);
    this.#address = { ...this.#address, host: socket.remoteAddress ?? this.#address.host };
    return socket;
  }

  /** Connections that are open stay so until they end by themselves. */
  async close(): Promise<void> {
    await this.#relay?.close();
  }
}

const CODE = new WorkerCode(new URL('../workers/tls-dialer.js', import.meta.url));

class RelayDialer {
  readonly line: number;
  readonly #worker: WorkerHandle<TlsDialerJob, TlsDialerNews, 'end'>;
  /** By the descriptor that was given to it. */
  readonly #asked = new Map<number, { resolve(): void; reject(reason: Error): void }>();

  constructor(address: Address, security: TlsSecurity) {
    const [ours, theirs] = native.socketPair();
    this.line = ours;
    this.#worker = new WorkerHandle(CODE, 'TLS dialer');
    this.#worker.on('dialled', ({ fd }) => this.#take(fd)?.resolve());
    this.#worker.on('not-dialled', ({ fd, code, message, facts }) =>
      this.#take(fd)?.reject(new PostcopyError(code, message, undefined, facts)),
    );
    this.#worker.onFailed((reason) => {
      for (const fd of this.#asked.keys()) this.#take(fd)?.reject(reason);
    });
    this.#worker.run({ ...address, security, line: theirs });
  }

  async connect(signal: AbortSignal): Promise<Socket> {
    const { mine, theirs } = askForRelay(this.line);
    const socket = new Socket({ fd: mine });
    const connected = new Promise<void>((resolve, reject) => this.#asked.set(theirs, { resolve, reject }));
    try {
      await whileWanted(signal, connected);
      return socket;
    } catch (error) {
      socket.on('error', () => {}); // late ones, of a connection that no longer matters
      socket.destroy();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#worker.post('end');
    await this.#worker.end();
    native.closeFd(this.line);
  }

  #take(fd: number): { resolve(): void; reject(reason: Error): void } | undefined {
    const asked = this.#asked.get(fd);
    this.#asked.delete(fd);
    return asked;
  }
}
