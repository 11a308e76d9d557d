/** Other threads of benchmarks: plain JavaScript that waits for orders in shared memory and in the addon only. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { native, POLLIN, type NativeMemory } from '../../src/native.js';
import { LOAD_ADDON } from '../support/addon-loader.js';

/** Longer than anything here takes on a busy machine. */
export const PATIENCE_MS = 10_000;

/** Resolves when the thread has loaded the addon. The code runs to its end before the thread can be told anything. */
export async function startThread(code: string, workerData: unknown): Promise<Worker> {
  const prelude = `
    const { parentPort, workerData: data } = require('node:worker_threads');
    parentPort.postMessage('loaded');
  `;
  const worker = new Worker(LOAD_ADDON + prelude + code, { eval: true, workerData });
  worker.unref();
  await once(worker, 'message');
  return worker;
}

const ORDERED = 0;
const FIRST = 1;
const COUNT = 2;
const DONE = 3;
const ENDED = 4;
/** In ORDERED: no more orders. */
const END = -1;

/** A thread that reads pages of a memory one after the other when told, and waits for those that are missing. */
export class Toucher {
  readonly #words = new Int32Array(new SharedArrayBuffer(20));
  /** Readable when an order is done. */
  readonly doneFd = native.createEventFd();
  #orders = 0;

  static async start(memory: NativeMemory): Promise<Toucher> {
    const toucher = new Toucher();
    const data = { words: toucher.#words, handle: memory.handle, doneFd: toucher.doneFd };
    await startThread(TOUCHER, data);
    return toucher;
  }

  /** Does not wait. */
  touch(first: number, count: number): void {
    this.#words[FIRST] = first;
    this.#words[COUNT] = count;
    Atomics.store(this.#words, ORDERED, ++this.#orders);
    Atomics.notify(this.#words, ORDERED);
  }

  /** All that was ordered has been touched. */
  get done(): boolean {
    return Atomics.load(this.#words, DONE) === this.#orders;
  }

  waitDone(): void {
    waitReadable(this.doneFd);
    native.drainEventFd(this.doneFd);
    if (!this.done) throw new Error('the other thread has not touched its pages');
  }

  /** Once no page that it waits for is missing. */
  close(): void {
    Atomics.store(this.#words, ORDERED, END);
    Atomics.notify(this.#words, ORDERED);
    Atomics.wait(this.#words, ENDED, 0, PATIENCE_MS);
    native.closeFd(this.doneFd);
  }
}

const TOUCHER = `
  const { words, doneFd } = data;
  const memory = new native.GuestMemory(null, data.handle);
  const byte = new Uint8Array(1);
  for (let order = 0; ; ) {
    Atomics.wait(words, ${ORDERED}, order);
    order = Atomics.load(words, ${ORDERED});
    if (order === ${END}) break;
    for (let i = 0; i < words[${COUNT}]; i++) memory.read((words[${FIRST}] + i) * 4096, byte);
    Atomics.store(words, ${DONE}, order);
    native.signalEventFd(doneFd);
  }
  Atomics.store(words, ${ENDED}, 1);
  Atomics.notify(words, ${ENDED});
`;

export function waitReadable(fd: number): void {
  if (native.poll(Int32Array.of(fd, POLLIN, 0), 1, PATIENCE_MS) === 0) throw new Error('nothing came in time');
}
