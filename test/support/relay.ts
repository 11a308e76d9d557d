/**
 * The network between a source and a destination: it takes each of the source's connections on to the destination, and shows
 * all that passes, whole messages of the control channel, to whoever decides what becomes of it.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { MESSAGES, type MessageType } from '../../src/migrate/wire/message.js';
import { decodePreamble, PREAMBLE_BYTES, type Channel } from '../../src/migrate/wire/preamble.js';

const FRAME_HEADER_BYTES = 8;
const FRAME_TAG = 4;

export type End = 'source' | 'destination';

export interface Connection {
  /** The socket at each end. */
  readonly sockets: Readonly<Record<End, Socket>>;
  /** Unknown until the preamble has come. */
  channel: Channel | undefined;
  /** Of a bulk channel. */
  index: number;
  generation: number;
}

export interface Passage {
  connection: Connection;
  to: End;
  /** It may be changed in place. */
  bytes: Buffer;
  /** The first bytes of a connection, or the answer to them. */
  isPreamble: boolean;
  /** What the bytes are on the control channel, with their header. */
  message: MessageType | undefined;
}

export interface Traffic {
  /** What is not forwarded is lost. What comes behind it on this connection waits. */
  pass(passage: Passage, forward: () => Promise<void>): Promise<void>;
  /** Before `to` hears that the other end sends no more. */
  endsFor(connection: Connection, to: End): Promise<void>;
  /** The socket at that end is gone. */
  gone(connection: Connection, end: End): void;
}

export function otherEnd(end: End): End {
  return end === 'source' ? 'destination' : 'source';
}

export class Relay {
  readonly #server: Server;
  readonly #target: { host: string; port: number };
  readonly #traffic: Traffic;
  readonly #connections = new Set<Connection>();

  private constructor(server: Server, target: { host: string; port: number }, traffic: Traffic) {
    this.#server = server;
    this.#target = target;
    this.#traffic = traffic;
    server.on('connection', (socket) => this.#join(socket));
  }

  static async open(target: { host: string; port: number }, traffic: Traffic): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Relay(server, target, traffic);
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** Those of which a socket is left. */
  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** All connections break. */
  cut(): void {
    for (const { sockets } of this.#connections) for (const socket of Object.values(sockets)) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(source: Socket): void {
    const destination = connect({ ...this.#target, allowHalfOpen: true });
    const connection = { sockets: { source, destination }, channel: undefined, index: 0, generation: 0 };
    this.#connections.add(connection);
    for (const end of ['source', 'destination'] as const) {
      const socket = connection.sockets[end];
      socket.setNoDelay(true);
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', () => {
        if (source.destroyed && destination.destroyed) this.#connections.delete(connection);
        this.#traffic.gone(connection, end);
      });
      void this.#relay(connection, otherEnd(end)).catch(() => {}); // it has broken
    }
  }

  async #relay(connection: Connection, to: End): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    let isPreamble = true;
    for await (const chunk of connection.sockets[otherEnd(to)] as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      if (isPreamble) {
        if (rest.length < PREAMBLE_BYTES) continue;
        const preamble = rest.subarray(0, PREAMBLE_BYTES);
        if (to === 'destination') name(connection, preamble);
        await this.#pass({ connection, to, bytes: preamble, isPreamble, message: undefined });
        isPreamble = false;
        rest = rest.subarray(PREAMBLE_BYTES);
      }
      if (connection.channel === 'control') {
        rest = await this.#frames(connection, to, rest);
      } else {
        if (rest.length > 0) await this.#pass({ connection, to, bytes: rest, isPreamble, message: undefined });
        rest = Buffer.alloc(0);
      }
    }
    await this.#traffic.endsFor(connection, to);
    connection.sockets[to].end();
  }

  /** Passes the frames that are whole and returns the rest. */
  async #frames(connection: Connection, to: End, bytes: Buffer): Promise<Buffer> {
    while (bytes.length >= FRAME_HEADER_BYTES) {
      const length = FRAME_HEADER_BYTES + bytes.readUInt32LE(0);
      if (bytes.length < length) break;
      const frame = bytes.subarray(0, length);
      const message = BY_TAG.get(frame.readUInt32LE(FRAME_TAG));
      await this.#pass({ connection, to, bytes: frame, isPreamble: false, message });
      bytes = bytes.subarray(length);
    }
    return bytes;
  }

  #pass(passage: Passage): Promise<void> {
    const { connection, to, bytes } = passage;
    const socket = connection.sockets[to];
    return this.#traffic.pass(passage, async () => {
      if (socket.destroyed) return;
      if (!socket.write(bytes)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
    });
  }
}

const BY_TAG = new Map(
  Object.entries(MESSAGES).map(([type, { tag }]): [number, MessageType] => [tag, type as MessageType]),
);

function name(connection: Connection, bytes: Buffer): void {
  const { channel, index, generation } = decodePreamble(bytes);
  Object.assign(connection, { channel, index, generation });
}
