/**
 * The acceptor of a port where nobody is believed: a worker that takes a connection through the TLS handshake and its
 * preamble before anybody else hears of it, and then relays it. All of it is on one event loop: a stranger costs a slot among
 * those who greet, no thread, and no time of the main thread's.
 */
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { formatAddress } from '../../configure/address.js';
import { native } from '../../native.js';
import type { Tell } from '../../threads/messages.js';
import { serveJob, workerPort } from '../../threads/serve-job.js';
import { GREETING_TIMEOUT_MS, type AcceptorNews, type TlsAcceptorJob } from '../link/accepted-channel.js';
import { GreetingRoom, type Greeting } from '../link/greeting-room.js';
import { readFirst } from '../link/read-first.js';
import { Relays } from '../link/relay.js';
import { KernelTls } from '../link/kernel-tls.js';
import { boundTcp } from '../link/tcp-limits.js';
import { LET_IN, LET_IN_RECORDS, serverOptions, TLS_HANDSHAKE } from '../link/tls.js';
import { decodePreamble, encodeVerdict, PREAMBLE_BYTES } from '../wire/preamble.js';

interface TlsGreeting extends Greeting {
  limit: NodeJS.Timeout;
  kernelTls: KernelTls;
}

class TlsAcceptor {
  readonly #tell: Tell<AcceptorNews>;
  readonly #listener: Server;
  readonly #tls: ReturnType<typeof createTlsServer>;
  readonly #greetings = new GreetingRoom<TlsGreeting>();
  /** By address: the server of TLS tells no more of whose handshake it is. */
  readonly #handshakes = new Map<string, TlsGreeting>();
  readonly #relays = new Relays();
  /** Whose handshake was over last. */
  #latest: TlsGreeting | undefined;

  constructor({ listenerFd, security }: TlsAcceptorJob, tell: Tell<AcceptorNews>) {
    this.#tell = tell;
    this.#tls = createTlsServer(serverOptions(security, GREETING_TIMEOUT_MS));
    this.#tls.on('keylog', (line: Buffer, socket: TLSSocket) => this.#greetingOf(socket)?.kernelTls.hear(line));
    this.#tls.on('secureConnection', (socket) => this.#greetSecurely(socket));
    this.#tls.on('newSession', (_id: Buffer, _data: Buffer, done: () => void) => this.#sendTicket(done));
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#listener = createTcpServer({ allowHalfOpen: false }, (socket) => this.#greet(socket));
    this.#listener.listen({ fd: listenerFd });
  }

  /** Who is known already keeps the connection until it ends by itself. */
  stop(): void {
    this.#listener.close();
    this.#greetings.closeAll();
    void this.#relays.over().then(() => workerPort().close());
  }

  #greet(socket: Socket): void {
    const greeting: TlsGreeting = {
      peer: peerOf(socket),
      close: () => socket.destroy(),
      limit: setTimeout(() => socket.destroy(), GREETING_TIMEOUT_MS),
      kernelTls: new KernelTls('server'),
    };
    this.#greetings.add(greeting);
    boundTcp(socket);
    socket.on('error', () => {}); // 'close' follows
    socket.once('close', () => this.#leave(greeting));
    readFirst(socket, 1, (first) => {
      if (first[0] !== TLS_HANDSHAKE) return answerPlainly(socket, first);
      socket.unshift(first);
      this.#handshakes.set(greeting.peer, greeting);
      this.#tls.emit('connection', socket);
    });
  }

  #greetingOf(socket: TLSSocket): TlsGreeting | undefined {
    return this.#handshakes.get(peerOf(socket));
  }

  /** It goes out with the end of the handshake that was over last, before anything else is heard. */
  #sendTicket(done: () => void): void {
    if (this.#latest !== undefined) this.#latest.kernelTls.tickets++;
    done();
  }

  #greetSecurely(socket: TLSSocket): void {
    const greeting = this.#greetingOf(socket);
    this.#latest = greeting;
    socket.on('error', () => {});
    socket.write(LET_IN);
    readFirst(socket, PREAMBLE_BYTES, (first) => {
      if (greeting !== undefined) this.#leave(greeting);
      try {
        this.#handOn(socket, first, greeting?.kernelTls);
      } catch {
        socket.destroy(); // no postcopy, or the host lacks a descriptor
      }
    });
  }

  #handOn(socket: TLSSocket, first: Buffer, kernelTls: KernelTls | undefined): void {
    const preamble = decodePreamble(new Uint8Array(first.subarray(0, PREAMBLE_BYTES)));
    const peer = peerOf(socket);
    // The control channel is the main thread's, which reads it as a stream of Node's.
    const mayTake = preamble.channel !== 'control' && first.length === PREAMBLE_BYTES;
    const taken = mayTake
      ? kernelTls?.take(socket, { sent: LET_IN_RECORDS + kernelTls.tickets, received: 1 })
      : undefined;
    socket.unshift(first.subarray(PREAMBLE_BYTES));
    const theirs = new native.Socket('adopt', taken ?? this.#relays.add(socket));
    this.#tell({ type: 'channel', channel: { preamble, socketHandle: theirs.handle, peer } });
    theirs.detach();
  }

  #leave(greeting: TlsGreeting): void {
    clearTimeout(greeting.limit);
    this.#greetings.delete(greeting);
    if (this.#handshakes.get(greeting.peer) === greeting) this.#handshakes.delete(greeting.peer);
  }
}

function peerOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return formatAddress({ host: remoteAddress, port: remotePort });
}

/** One of ours that comes without TLS hears that it is wanted here. */
function answerPlainly(socket: Socket, first: Buffer): void {
  socket.unshift(first);
  readFirst(socket, PREAMBLE_BYTES, (bytes) => {
    try {
      const preamble = decodePreamble(new Uint8Array(bytes.subarray(0, PREAMBLE_BYTES)));
      socket.end(encodeVerdict(preamble, 'secured'));
    } catch {
      socket.destroy();
    }
  });
}

serveJob<TlsAcceptorJob, AcceptorNews>((job, tell) => {
  native.setThread('tls-acceptor', 0);
  const acceptor = new TlsAcceptor(job, tell);
  workerPort().once('message', () => acceptor.stop());
});
