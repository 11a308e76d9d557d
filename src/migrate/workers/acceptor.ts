/**
 * The acceptor: a worker that waits for connections, reads the preamble of each, and hands those that speak our protocol
 * to the main thread. A stranger that sends nothing, or something else, costs neither a thread nor the others' time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { native, POLLIN, type Socket } from '../../native.js';
import { LONGEST_WAIT_MS } from '../../threads/page-worker.js';
import { decodePreamble, PREAMBLE_BYTES } from '../wire/preamble.js';
import type { AcceptorData, AcceptedChannel } from '../link/accepted-channel.js';

/** Connections whose preamble is not whole; more wait in the kernel's backlog. */
const MOST_GREETING = 16;
/** After accept(2) failed; the connection still waits, so poll(2) would not. */
const ACCEPT_PAUSE_MS = 100;
const GREETING_TIMEOUT_MICROS = 5_000_000;

interface Greeting {
  socket: Socket;
  bytes: Uint8Array;
  have: number;
  deadline: number;
}

const data = workerData as AcceptorData;
const listener = new native.Socket(null, data.listenerHandle);
const stopped = new Int32Array(data.stop);
let greetings: Greeting[] = [];

function acceptAll(): void {
  while (greetings.length < MOST_GREETING) {
    const fd = accept();
    if (fd < 0) return;
    greetings.push({
      socket: new native.Socket('adopt', fd),
      bytes: new Uint8Array(PREAMBLE_BYTES),
      have: 0,
      deadline: native.monotonicMicros() + GREETING_TIMEOUT_MICROS,
    });
  }
}

/** -1 if no connection waits, or none can be taken now: too many are open, or memory is short. */
function accept(): number {
  try {
    return listener.accept();
  } catch {
    native.poll(new Int32Array(0), 0, ACCEPT_PAUSE_MS);
    return -1;
  }
}

/** False when the connection has left this stage: handed on, or dropped. */
function greet(greeting: Greeting, readable: boolean): boolean {
  try {
    if (readable) {
      const room = PREAMBLE_BYTES - greeting.have;
      const got = greeting.socket.receive(greeting.bytes, greeting.have, 0, room, 0);
      if (got === 0) throw new Error('closed');
      greeting.have += Math.max(0, got);
    }
    if (greeting.have === PREAMBLE_BYTES) {
      const preamble = decodePreamble(greeting.bytes);
      const accepted: AcceptedChannel = { preamble, socketHandle: greeting.socket.handle, peer: greeting.socket.peer };
      parentPort!.postMessage(accepted);
      greeting.socket.detach();
      return false;
    }
    if (native.monotonicMicros() > greeting.deadline) throw new Error('too slow');
    return true;
  } catch {
    greeting.socket.close();
    return false;
  }
}

function loop(): void {
  const set = new Int32Array((MOST_GREETING + 1) * 3);
  while (Atomics.load(stopped, 0) === 0) {
    const full = greetings.length >= MOST_GREETING;
    [listener.fd, ...greetings.map((greeting) => greeting.socket.fd)].forEach((fd, i) => {
      set[i * 3] = fd;
      set[i * 3 + 1] = i === 0 && full ? 0 : POLLIN;
      set[i * 3 + 2] = 0;
    });
    native.poll(set, greetings.length + 1, LONGEST_WAIT_MS);
    greetings = greetings.filter((greeting, i) => greet(greeting, set[(i + 1) * 3 + 2] !== 0));
    // Its end is told by a shutdown of the listening socket, which makes it readable as well.
    if (set[2] !== 0 && Atomics.load(stopped, 0) === 0) acceptAll();
  }
  for (const greeting of greetings) greeting.socket.close();
}

loop();
