/**
 * The control channel of a migration on the main thread's event loop: messages in and out, and a watch on the link.
 * Silence beyond a limit counts as a lost link whatever TCP believes.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Address } from '../../configure/address.js';
import { PostcopyError } from '../../errors.js';
import { native } from '../../native.js';
import { encodeMessage, FrameDecoder } from '../wire/frame.js';
import type { Body, Message, MessageType } from '../wire/message.js';
import {
  canRecover,
  HANDED_OVER_LINK_TIMEOUT_MS,
  LINK_TIMEOUT_MS,
  PING_INTERVAL_MS,
  RECOVERABLE_LINK_TIMEOUT_MS,
  type ProtocolVersion,
} from '../wire/protocol.js';

/** What the clocks of two hosts may part between two pings: 50 ppm. */
const DRIFT_MICROS = PING_INTERVAL_MS * 1000 * 50e-6;

interface ControlEvents {
  message: [message: Message];
  /** Once; nothing comes after it. */
  broken: [reason: PostcopyError];
}

export class ControlConnection extends EventEmitter<ControlEvents> {
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #watch: NodeJS.Timeout;
  #timeoutMs = LINK_TIMEOUT_MS;
  #lastHeard = native.monotonicMicros();
  #lastTick = this.#lastHeard;
  #roundTrip = Infinity;
  /** How far the peer's clock was behind this one when a ping of its came: with the way of that ping, the least of them. */
  #peerBehind = Infinity;
  #bytesSent = 0;
  /** Pings whose answer somebody waits for. */
  #awaited: { sentAt: number; resolve(answered: boolean): void }[] = [];
  #closed = false;
  /** The address at the other end, whatever its name means by now: page channels go to the same. */
  readonly remote: Address;

  /** The socket's preamble is behind it. */
  constructor(
    socket: Socket,
    readonly peer: string,
    /** What both ends have agreed to speak. */
    readonly version: ProtocolVersion,
    /** They have agreed on the migration before, on another connection. */
    hasAgreed = false,
  ) {
    super();
    this.#socket = socket;
    this.remote = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.#decoder = new FrameDecoder(version);
    this.#decoder.isGreeting = !hasAgreed;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#break(new PostcopyError('LINK_LOST', `the link to ${peer} broke`, error)));
    socket.on('close', () => this.#break(new PostcopyError('LINK_LOST', `${peer} closed the connection`)));
    socket.resume();
    this.#watch = setInterval(() => this.#tick(), PING_INTERVAL_MS);
  }

  send<T extends MessageType>(type: T, body: Body<T>): void {
    if (this.#closed) return;
    if (type === 'accept') this.#decoder.isGreeting = false;
    const frame = encodeMessage(type, body, this.version);
    this.#bytesSent += frame.length;
    this.#socket.write(frame);
  }

  get open(): boolean {
    return !this.#closed;
  }

  /** The VM is handed over: from now on a longer silence is borne. */
  bearLongSilence(): void {
    this.#timeoutMs = canRecover(this.version) ? RECOVERABLE_LINK_TIMEOUT_MS : HANDED_OVER_LINK_TIMEOUT_MS;
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Shortest round trip seen, microseconds; 0 before the first. */
  get roundTripMicros(): number {
    return Number.isFinite(this.#roundTrip) ? this.#roundTrip : 0;
  }

  /** What makes this host's monotonicMicros() of the peer's; undefined before its first ping. */
  get peerOffsetMicros(): number | undefined {
    return Number.isFinite(this.#peerBehind) ? this.#peerBehind - this.roundTripMicros / 2 : undefined;
  }

  ping(): void {
    this.send('ping', { sentAt: native.monotonicMicros() });
  }

  /** Whether the peer has dealt with all that was sent before, within so long and before the connection was over. */
  async caughtUp(limitMs: number): Promise<boolean> {
    if (this.#closed) return false;
    const sentAt = native.monotonicMicros();
    this.send('ping', { sentAt });
    const limit = setTimeout(() => this.#settle(sentAt, false), limitMs);
    const answered = await new Promise<boolean>((resolve) => this.#awaited.push({ sentAt, resolve }));
    clearTimeout(limit);
    return answered;
  }

  /** Sends what is queued, then closes; nothing is emitted any more. */
  close(): void {
    this.#stop();
    this.#socket.end();
    // A peer that never closes its side must not keep us.
    setTimeout(() => this.#socket.destroy(), LINK_TIMEOUT_MS).unref();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#lastHeard = native.monotonicMicros();
    let messages: Message[];
    try {
      messages = this.#decoder.push(chunk);
    } catch (error) {
      this.#break(error as PostcopyError);
      return;
    }
    for (const message of messages) this.#dispatch(message);
  }

  #dispatch(message: Message): void {
    if (this.#closed) return;
    if (message.type === 'accept') this.#decoder.isGreeting = false;
    if (message.type === 'ping') this.#answer(message.body.sentAt);
    else if (message.type === 'pong') this.#pong(message.body.sentAt);
    else this.emit('message', message);
  }

  #answer(sentAt: number): void {
    this.#peerBehind = Math.min(this.#peerBehind + DRIFT_MICROS, this.#lastHeard - sentAt);
    this.send('pong', { sentAt });
  }

  #pong(sentAt: number): void {
    this.#roundTrip = Math.min(this.#roundTrip, native.monotonicMicros() - sentAt);
    this.#settle(sentAt, true);
  }

  #settle(until: number, answered: boolean): void {
    for (const { sentAt, resolve } of this.#awaited) if (sentAt <= until) resolve(answered);
    this.#awaited = this.#awaited.filter(({ sentAt }) => sentAt > until);
  }

  #tick(): void {
    const now = native.monotonicMicros();
    // If this thread itself was held up, the peer's messages wait unread: give them a turn before judging.
    const heldUp = now - this.#lastTick > 2 * PING_INTERVAL_MS * 1000;
    this.#lastTick = now;
    if (!heldUp && now - this.#lastHeard > this.#timeoutMs * 1000) {
      this.#break(new PostcopyError('LINK_LOST', `nothing heard from ${this.peer} for ${this.#timeoutMs / 1000} s`));
    } else {
      this.ping();
    }
  }

  #break(reason: PostcopyError): void {
    if (this.#closed) return;
    this.#stop();
    this.#socket.destroy();
    this.emit('broken', reason);
  }

  #stop(): void {
    this.#closed = true;
    this.#settle(Infinity, false);
    clearInterval(this.#watch);
    this.#socket.on('error', () => {}); // late ones, of a connection that no longer matters
  }
}
