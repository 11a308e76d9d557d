/**
 * A wire of a given length between two TCP endpoints: what arrives on one side leaves on the other, in order, half a round
 * trip later. It does what netem's delay does, where there is none. Several connections at once, one thread, no event
 * loop: a timer of Node's is a millisecond wide.
 *
 * A side that does not take what is due stops the other side's being read: then the wire is full, as a receiver's closed
 * window would make it. The handshake of a connection itself is not delayed.
 */
import { native, POLLERR, POLLHUP, POLLIN, POLLOUT, type Socket } from '../../native.js';
import { PollSet } from '../../threads/poll-set.js';
import type { Endpoint } from '../system.js';
import { DelayLine } from './delay-line.js';

/**
 * A timer wakes a thread of an idle core up to this late. For a piece that somebody waits for, a request or a page, the
 * last of the wait is spent looking at the clock; for bulk that would take the CPU from the ends and gain nothing.
 */
const MOST_SPIN_MICROS = 300;
const SPIN_SHARE = 0.25;
const SMALL_BYTES = 16 * 1024;
/** What waking up on arrival takes: a wire needs none of it, so it counts as a part of the way. */
const WAKE_MICROS = 25;
const CHUNK_BYTES = 256 * 1024;
/** A socket's own buffer is no part of the wire; a large one would add to its length where the receiver is slow. */
const SEND_BUFFER_BYTES = 256 * 1024;
/** The widest wire: what a kernel's loopback carries in a microsecond, and more. */
const BYTES_PER_MICRO = 4000;
const LEAST_LINE_BYTES = 4 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 5000;
const MOST_CONNECTIONS = 14;

/** One direction of a connection. */
class Pipe {
  readonly line: DelayLine;
  /** The receiver does not take what is due. */
  blocked = false;
  /** The sender has closed; the receiver is told when everything before has left. */
  closedAt = Infinity;

  constructor(
    readonly from: Socket,
    readonly to: Socket,
    readonly delayMicros: number,
  ) {
    this.line = new DelayLine(Math.max(LEAST_LINE_BYTES, delayMicros * BYTES_PER_MICRO));
  }

  get wantsRead(): boolean {
    return this.closedAt === Infinity && !this.blocked && this.line.room(1).length > 0;
  }

  get nextDue(): number {
    if (this.blocked) return Infinity;
    return this.line.held > 0 ? this.line.nextDue : this.closedAt;
  }

  /** When to begin to look at the clock for what is due next. */
  get wakeAt(): number {
    const spins = this.line.nextBytes <= SMALL_BYTES;
    return this.nextDue - (spins ? Math.min(MOST_SPIN_MICROS, this.delayMicros * SPIN_SHARE) : 0);
  }

  /** Takes what arrived at that time. */
  read(now: number): void {
    const { offset, length } = this.line.room(CHUNK_BYTES);
    const got = native.readFd(this.from.fd, this.line.bytes.subarray(offset, offset + length));
    if (got === 0) this.closedAt = now + this.delayMicros;
    else if (got > 0) this.line.put(got, now + this.delayMicros);
  }

  /** Sends what is due. */
  write(now: number): void {
    for (;;) {
      const { offset, length } = this.line.due(now);
      if (length === 0) return;
      const sent = native.writeFd(this.to.fd, this.line.bytes.subarray(offset, offset + length));
      this.line.take(sent);
      this.blocked = sent < length;
      if (this.blocked) return;
    }
  }

  isOver(now: number): boolean {
    return this.line.held === 0 && now >= this.closedAt;
  }
}

interface Connection {
  pipes: [Pipe, Pipe];
}

export class Relay {
  readonly #listener: Socket;
  readonly #to: Endpoint;
  readonly #delayMicros: number;
  readonly #set = new PollSet();
  #connections: Connection[] = [];
  /** The last poll waited, and so did what ended it. */
  #slept = false;

  constructor(listen: Endpoint, to: Endpoint, delayMs: number) {
    this.#listener = new native.Socket('listen', listen.host, listen.port);
    this.#to = to;
    this.#delayMicros = delayMs * 1000;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Returns when `endFd` says that the other end of it has gone. */
  run(endFd: number): void {
    while (!this.#wait(endFd)) this.#pass();
    for (const connection of this.#connections) this.#close(connection);
    this.#listener.close();
  }

  /** Waits until something arrives or is due; true if it is all over. */
  #wait(endFd: number): boolean {
    const due = Math.min(...this.#pipes().map((pipe) => pipe.wakeAt));
    this.#fillSet(endFd);
    const before = native.monotonicMicros();
    this.#set.wait((due - before) / 1000);
    this.#slept = native.monotonicMicros() - before > WAKE_MICROS;
    return this.#set.revents(0) !== 0;
  }

  #fillSet(endFd: number): void {
    this.#set.clear();
    this.#set.add(endFd, POLLIN);
    this.#set.add(this.#listener.fd, this.#connections.length < MOST_CONNECTIONS ? POLLIN : 0);
    for (const { pipes } of this.#connections) {
      const [out, back] = pipes;
      // The socket that one pipe reads from is the one that the other writes to.
      this.#set.add(out.from.fd, (out.wantsRead ? POLLIN : 0) | (back.blocked ? POLLOUT : 0));
      this.#set.add(back.from.fd, (back.wantsRead ? POLLIN : 0) | (out.blocked ? POLLOUT : 0));
    }
  }

  /** What poll found, and what is due. */
  #pass(): void {
    const set = this.#set;
    const ready = this.#connections.map((_, i) => [set.revents(2 + 2 * i), set.revents(3 + 2 * i)] as const);
    const arrived = set.revents(1) !== 0;
    this.#connections = this.#connections.filter((connection, i) => this.#passOne(connection, ...ready[i]!));
    if (arrived) this.#accept();
  }

  /** False if the connection is over. */
  #passOne(connection: Connection, first: number, second: number): boolean {
    const [out, back] = connection.pipes;
    try {
      for (const [pipe, mine, other] of [
        [out, first, second],
        [back, second, first],
      ] as const) {
        if ((mine & (POLLIN | POLLHUP | POLLERR)) !== 0 && pipe.wantsRead)
          pipe.read(native.monotonicMicros() - (this.#slept ? WAKE_MICROS : 0));
        if ((other & (POLLOUT | POLLERR | POLLHUP)) !== 0) pipe.blocked = false;
        pipe.write(native.monotonicMicros());
      }
      const now = native.monotonicMicros();
      if (!out.isOver(now) && !back.isOver(now)) return true;
    } catch {
      // one side has reset the connection: so does the wire
    }
    this.#close(connection);
    return false;
  }

  #accept(): void {
    for (let fd = this.#listener.accept(); fd >= 0; fd = this.#listener.accept()) {
      const near = new native.Socket('adopt', fd);
      try {
        const far = new native.Socket('connect', this.#to.host, this.#to.port, CONNECT_TIMEOUT_MS);
        for (const socket of [near, far]) socket.configure({ noDelay: 1, sendBuffer: SEND_BUFFER_BYTES });
        this.#connections.push({
          pipes: [new Pipe(near, far, this.#delayMicros), new Pipe(far, near, this.#delayMicros)],
        });
      } catch {
        near.close(); // nobody listens on the other side: the caller sees the connection end
      }
    }
  }

  #close({ pipes: [out, back] }: Connection): void {
    out.from.close();
    back.from.close();
  }

  #pipes(): Pipe[] {
    return this.#connections.flatMap(({ pipes }) => pipes);
  }
}
