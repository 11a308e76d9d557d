/** A worker thread, as the main thread has it. serve-job.ts is its other side. */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { PostcopyError } from '../errors.js';
import { isFailure, type FromWorker, type Tagged } from './messages.js';
import type { WorkerCode } from './worker-code.js';

/**
 * `Job`: what the worker is given, once. `News`: what it tells, a union of tagged messages. `Request`: what it may be told
 * behind its job.
 */
export class WorkerHandle<Job, News extends Tagged, Request = never> {
  readonly #worker: Worker;
  readonly #events = new EventEmitter();
  #hasJob = false;
  /** Its code is loaded, and it waits for its job. Rejects if it fails or ends before. */
  readonly loaded: Promise<void>;
  /** The thread is gone. */
  readonly exited: Promise<void>;

  /** `name`: as errors call it. */
  constructor(
    code: Pick<WorkerCode, 'start'>,
    readonly name: string,
  ) {
    const worker = code.start();
    this.#worker = worker;
    this.exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    this.loaded = new Promise((resolve, reject) => {
      worker.once('message', () => resolve()); // its first one says so
      worker.once('error', reject);
      worker.once('exit', () => reject(new PostcopyError('INTERNAL', `the ${name} has ended`)));
    });
    this.loaded.catch(() => {}); // for whoever waits for it
    worker.on('message', (message: FromWorker<News>) => this.#receive(message));
    worker.on('error', (error) => this.#fail(new PostcopyError('INTERNAL', `the ${name} failed`, error)));
  }

  on<Type extends News['type']>(type: Type, listener: (news: Extract<News, { type: Type }>) => void): this {
    this.#events.on(type, listener);
    return this;
  }

  /** It goes no further: it threw something, or said so. */
  onFailed(listener: (reason: PostcopyError) => void): this {
    this.#events.on('failed', listener);
    return this;
  }

  /** Gives it its job; also before its code is loaded. */
  run(job: Job): void {
    this.#hasJob = true;
    this.#worker.postMessage(job);
  }

  /** Tells it something behind its job; one that never returns to its event loop has to be woken to see it. */
  post(request: Request): void {
    this.#worker.postMessage(request);
  }

  /** Resolves when the thread is gone. A worker at its job is told to stop and woken before; one without is ended. */
  async end(): Promise<void> {
    if (!this.#hasJob) await this.#worker.terminate();
    await this.exited;
  }

  /** At once, whatever it does; but not while it waits in the kernel. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  /** The process need not wait for it. */
  unref(): void {
    this.#worker.unref();
  }

  #receive(message: FromWorker<News>): void {
    if (isFailure(message)) this.#fail(new PostcopyError(message.code, message.message));
    else this.#events.emit(message.type, message);
  }

  #fail(reason: PostcopyError): void {
    this.#events.emit('failed', reason);
  }
}
