/**
 * Page workers: threads that move pages with synchronous addon calls and never return to their event loop while they do.
 * This is the main thread's handle for one, and the other side of it in the worker.
 */
import { EventEmitter } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { parentPort, Worker } from 'node:worker_threads';
import { describeError, PostcopyError, type ErrorCode } from '../errors.js';

/** worker.terminate() takes effect between system calls, so none of a page worker's may last for ever. */
export const LONGEST_WAIT_MS = 500;

/**
 * Priorities (nice) of page workers: faults before everything else on the host, bulk before the guest's own load, which
 * only waits longer for its pages if it keeps them from coming. A worker that does both must leave the vCPU whose page
 * it has just installed a core to go on. Not real-time: SCHED_FIFO runs into throttling. Without the right to raise it,
 * a worker runs at the usual priority.
 */
const FAULT_NICE = -20;
const BULK_NICE = -10;
const SHARED_NICE = 0;

/** Of a worker that serves these channels. */
export function niceFor(kinds: readonly string[]): number {
  if (!kinds.includes('urgent')) return BULK_NICE;
  return kinds.length > 1 ? SHARED_NICE : FAULT_NICE;
}

type FromWorker =
  | { type: 'ready' }
  | { type: 'event'; name: string; value: number }
  | { type: 'failed'; message: string; code: ErrorCode };

/** Tells the main thread of something, by name. */
export type Report = (event: string, value?: number) => void;

interface PageWorkerEvents {
  /** Of the worker's own making, with a number. */
  event: [name: string, value: number];
  failed: [reason: PostcopyError];
}

/**
 * Numbers that the addon returns are a page worker's only garbage, about a megabyte a second. With V8's usual young
 * generation of a megabyte it would be collected as often, and faults wait that long; memory that is never used costs
 * nothing. For workers started from now on.
 */
setFlagsFromString('--min-semi-space-size=16');

export class PageWorker<Job> extends EventEmitter<PageWorkerEvents> {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #hasJob = false;

  private constructor(worker: Worker) {
    super();
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.emit('failed', new PostcopyError('INTERNAL', 'a page worker failed', error)));
  }

  /** Loads the worker's code; it waits for its job. */
  static async start<Job>(module: URL): Promise<PageWorker<Job>> {
    const worker = new PageWorker<Job>(new Worker(module));
    await new Promise<void>((resolve, reject) => {
      worker.#worker.once('message', () => resolve());
      worker.#worker.once('error', reject);
    });
    return worker;
  }

  /** Once. */
  run(job: Job): void {
    this.#hasJob = true;
    this.#worker.postMessage(job);
  }

  /** Resolves when the thread is gone. A worker at its job is told to stop and woken before; one without is ended. */
  async end(): Promise<void> {
    if (!this.#hasJob) await this.#worker.terminate();
    await this.#exited;
  }

  #receive(message: FromWorker): void {
    if (message.type === 'event') this.emit('event', message.name, message.value);
    else if (message.type === 'failed') {
      this.emit('failed', new PostcopyError(message.code, message.message));
    }
  }
}

/**
 * In the worker: takes the one job and does it. What it throws, or gives to `fail` and goes on, is a failure of the
 * migration.
 */
export function servePageJob<Job>(work: (job: Job, report: Report, fail: (error: unknown) => void) => void): void {
  const port = parentPort!;
  port.once('message', (job: Job) => {
    const report: Report = (name, value = 0) => port.postMessage({ type: 'event', name, value } satisfies FromWorker);
    const fail = (error: unknown): void => {
      // A system call that failed on a socket is a lost link; our own errors say what they are.
      const code = error instanceof PostcopyError ? error.code : 'LINK_LOST';
      port.postMessage({ type: 'failed', message: describeError(error), code } satisfies FromWorker);
    };
    try {
      work(job, report, fail);
    } catch (error) {
      fail(error);
    }
  });
  port.postMessage({ type: 'ready' } satisfies FromWorker);
}
