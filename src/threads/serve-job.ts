/** The worker's side of a WorkerHandle. */
import { parentPort, type MessagePort } from 'node:worker_threads';
import type { FromWorker, Tagged, Tell } from './messages.js';

/** worker.terminate() takes effect between system calls, so none of a worker's may last for ever. */
export const LONGEST_WAIT_MS = 500;

/** Of the worker that asks. */
export function workerPort(): MessagePort {
  if (parentPort === null) throw new Error('this is a worker: it runs on no main thread');
  return parentPort;
}

/** Says that the code is loaded, then takes the one job and does it. What it throws ends the worker, which fails. */
export function serveJob<Job, News extends Tagged>(work: (job: Job, tell: Tell<FromWorker<News>>) => void): void {
  const port = workerPort();
  const tell = (news: FromWorker<News>): void => port.postMessage(news);
  port.once('message', (job: Job) => work(job, tell));
  tell({ type: 'ready' });
}
