/** Other threads and processes for tests of the addon: plain JavaScript that loads it as src/native.ts does. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { onTestFinished, vi } from 'vitest';
import { native, POLLIN } from '../../src/native.js';
import { LOAD_ADDON } from '../support/addon-loader.js';

/** Longer than anything here takes on a busy machine; who waits that long hangs. */
export const PATIENCE_MS = 10_000;
vi.setConfig({ testTimeout: 2 * PATIENCE_MS });

/** A thread with `native`, `data` and `post(value)`. Ends with its test: it must not wait for ever by then. */
export function startWorker(code: string, data: unknown = undefined): Worker {
  const prelude = `
    const { parentPort, workerData: data } = require('node:worker_threads');
    const post = (value) => parentPort.postMessage(value);
  `;
  const worker = new Worker(LOAD_ADDON + prelude + code, { eval: true, workerData: data });
  onTestFinished(async () => {
    await worker.terminate();
  });
  return worker;
}

/** The next message of a worker; throws what the worker throws. */
export async function next(worker: Worker): Promise<unknown> {
  const [message] = (await once(worker, 'message')) as [unknown];
  return message;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs code with `native` in a process of its own; it is killed, and the signal tells, if it does not end in time.
 * `through` is a command that runs the command after it.
 */
export function runNode(code: string, flags: string[] = [], through: string[] = []): Promise<Ended> {
  const node = [process.execPath, ...flags, '-e', LOAD_ADDON + code];
  const [file = process.execPath, ...args] = [...through, ...node];
  return new Promise((resolve) => {
    const child = execFile(file, args, { timeout: PATIENCE_MS, killSignal: 'SIGKILL' }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
  });
}

/** Waits, with turns of the event loop in between, until one of the descriptors is readable. */
export async function readable(...fds: number[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const set = Int32Array.from(fds.flatMap((fd) => [fd, POLLIN, 0]));
  while (native.poll(set, fds.length, 0) === 0) {
    if (Date.now() > deadline) throw new Error('nothing to read came in time');
    await delay(1);
  }
}
