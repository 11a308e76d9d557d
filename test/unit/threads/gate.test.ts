import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { Gate } from '../../../src/threads/gate.js';

it('lets everybody in until it is closed, in every thread', () => {
  const gate = new Gate();
  const elsewhere = new Gate(gate.buffer);
  expect([gate.enter(), elsewhere.enter(), elsewhere.isClosed]).toEqual([true, true, false]);
  gate.leave();
  elsewhere.leave();
  gate.close();
  expect([gate.enter(), elsewhere.enter(), elsewhere.isClosed]).toEqual([false, false, true]);
  gate.close(); // nobody who was turned away is still inside
});

it('is not closed before the last one has left', async () => {
  const gate = new Gate();
  const done = new Int32Array(new SharedArrayBuffer(4));
  // As gate.ts does it: the thread runs no TypeScript.
  const worker = new Worker(
    `const { parentPort, workerData: { word, done } } = require('node:worker_threads');
     Atomics.add(word, 0, 1);
     parentPort.postMessage('inside');
     while ((Atomics.load(word, 0) & (1 << 30)) === 0);
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
     Atomics.store(done, 0, 1);
     if (Atomics.sub(word, 0, 1) === ((1 << 30) | 1)) Atomics.notify(word, 0);`,
    { eval: true, workerData: { word: new Int32Array(gate.buffer), done } },
  );
  onTestFinished(async () => void (await worker.terminate()));
  await once(worker, 'message');
  gate.close();
  expect(Atomics.load(done, 0)).toBe(1);
});
