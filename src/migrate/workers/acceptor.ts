/**
 * The acceptor: a worker that waits for connections, reads the preamble of each, and hands those that speak our protocol
 * to the main thread. A stranger that sends nothing, or something else, costs neither a thread nor the others' time.
 */
import { native, POLLIN, type Socket } from '../../native.js';
import type { Tell } from '../../threads/messages.js';
import { PollSet } from '../../threads/poll-set.js';
import { LONGEST_WAIT_MS, serveJob } from '../../threads/serve-job.js';
import { decodePreamble, PREAMBLE_BYTES } from '../wire/preamble.js';
import { GREETING_TIMEOUT_MS, type AcceptorJob, type AcceptorNews } from '../link/accepted-channel.js';
import { GreetingRoom, MOST_GREETING } from '../link/greeting-room.js';

/** After accept(2) failed; the connection still waits, so poll(2) would not. */
const ACCEPT_PAUSE_MS = 100;

class PlainGreeting {
  readonly peer: string;
  readonly bytes = new Uint8Array(PREAMBLE_BYTES);
  readonly deadline = native.monotonicMicros() + GREETING_TIMEOUT_MS * 1000;
  have = 0;

  constructor(readonly socket: Socket) {
    this.peer = socket.peer;
  }

  close(): void {
    this.socket.close();
  }
}

class Acceptor {
  readonly #listener: Socket;
  readonly #stop: Int32Array;
  readonly #tell: Tell<AcceptorNews>;
  readonly #set = new PollSet();
  readonly #greetings = new GreetingRoom<PlainGreeting>();

  constructor({ listenerHandle, stop }: AcceptorJob, tell: Tell<AcceptorNews>) {
    this.#listener = new native.Socket(null, listenerHandle);
    this.#stop = new Int32Array(stop);
    this.#tell = tell;
  }

  run(): void {
    while (!this.#isStopped) {
      const waiting = this.#greetings.all;
      const isReached = this.#wait(waiting);
      for (const [i, greeting] of waiting.entries()) {
        if (!this.#greet(greeting, this.#set.revents(i + 1) !== 0)) this.#greetings.delete(greeting);
      }
      // Its end is told by a shutdown of the listening socket, which makes it readable as well.
      if (isReached && !this.#isStopped) this.#acceptAll();
    }
    this.#greetings.closeAll();
  }

  get #isStopped(): boolean {
    return Atomics.load(this.#stop, 0) !== 0;
  }

  /** True if somebody connects. */
  #wait(greetings: readonly PlainGreeting[]): boolean {
    this.#set.clear();
    this.#set.add(this.#listener.fd, POLLIN);
    for (const { socket } of greetings) this.#set.add(socket.fd, POLLIN);
    this.#set.wait(LONGEST_WAIT_MS);
    return this.#set.revents(0) !== 0;
  }

  /** Not for ever: those who are here are heard in between. */
  #acceptAll(): void {
    for (let i = 0; i < MOST_GREETING; i++) {
      const fd = this.#accept();
      if (fd < 0) return;
      this.#greetings.add(new PlainGreeting(new native.Socket('adopt', fd)));
    }
  }

  /** -1 if no connection waits, or none can be taken now: too many are open, or memory is short. */
  #accept(): number {
    try {
      return this.#listener.accept();
    } catch {
      new PollSet().wait(ACCEPT_PAUSE_MS);
      return -1;
    }
  }

  /** False when the connection has left this stage: handed on, or dropped. */
  #greet(greeting: PlainGreeting, isReadable: boolean): boolean {
    try {
      if (isReadable) receiveSome(greeting);
      if (greeting.have === PREAMBLE_BYTES) {
        this.#handOn(greeting);
        return false;
      }
      if (native.monotonicMicros() > greeting.deadline) throw new Error('too slow');
      return true;
    } catch {
      greeting.socket.close();
      return false;
    }
  }

  #handOn({ socket, bytes }: PlainGreeting): void {
    const preamble = decodePreamble(bytes);
    this.#tell({ type: 'channel', channel: { preamble, socketHandle: socket.handle, peer: socket.peer } });
    socket.detach();
  }
}

function receiveSome(greeting: PlainGreeting): void {
  const room = PREAMBLE_BYTES - greeting.have;
  const got = greeting.socket.receive(greeting.bytes, greeting.have, 0, room, 0);
  if (got === 0) throw new Error('closed');
  greeting.have += Math.max(0, got);
}

serveJob<AcceptorJob, AcceptorNews>((job, tell) => new Acceptor(job, tell).run());
