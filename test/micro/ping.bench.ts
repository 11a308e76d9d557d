/** The yardsticks of the machine: what every stage consists of. */
import { beforeAll } from 'vitest';
import { native } from '../../src/native.js';
import { closeLater, stage } from './stage.js';
import { PATIENCE_MS, startThread, waitReadable } from './workers.js';

const CALLS = 1000;
const ROUND_TRIPS = 20;
const nothing = new Int32Array(3);
let there: number;
let back: number;

beforeAll(async () => {
  there = native.createEventFd();
  back = native.createEventFd();
  const words = new Int32Array(new SharedArrayBuffer(8));
  await startThread(ECHO, { there, back, words });
  closeLater({
    close() {
      Atomics.store(words, 0, 1);
      native.signalEventFd(there);
      Atomics.wait(words, 1, 0, PATIENCE_MS); // it has let go of the descriptors
      native.closeFd(there);
      native.closeFd(back);
    },
  });
});

const ECHO = `
  const set = Int32Array.of(data.there, 1, 0);
  for (;;) {
    native.poll(set, 1, -1);
    native.drainEventFd(data.there);
    if (Atomics.load(data.words, 0) !== 0) break;
    native.signalEventFd(data.back);
  }
  Atomics.store(data.words, 1, 1);
  Atomics.notify(data.words, 1);
`;

stage('ping: a call of the addon (clock_gettime)', {
  run() {
    for (let i = 0; i < CALLS; i++) native.monotonicMicros();
  },
  operations: CALLS,
});

stage('ping: a system call (poll of nothing)', {
  run() {
    for (let i = 0; i < CALLS; i++) native.poll(nothing, 0, 0);
  },
  operations: CALLS,
});

/** Half of a round trip: write, wake-up, poll and read. Whether the threads share a core is up to the kernel. */
stage('ping: a wake-up across threads (eventfd, poll)', {
  run() {
    for (let i = 0; i < ROUND_TRIPS; i++) {
      native.signalEventFd(there);
      waitReadable(back);
      native.drainEventFd(back);
    }
  },
  operations: 2 * ROUND_TRIPS,
});
