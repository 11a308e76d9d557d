/** Page workers: threads that move pages with synchronous addon calls and never return to their event loop while they do. */
import { setFlagsFromString } from 'node:v8';
import { describeError, PostcopyError } from '../errors.js';
import type { ChannelTrial } from '../watch/events.js';
import type { Tell } from './messages.js';
import { serveJob } from './serve-job.js';
import type { WorkerCode } from './worker-code.js';
import { WorkerHandle } from './worker-handle.js';

/** What page workers tell the main thread. */
export type PageNews =
  /** Of the source: a channel is connected, in the order of the job's channels. */
  | { type: 'channel-open'; socketHandle: number }
  /** Of the source: all its channels have carried what they were tried with. */
  | { type: 'channels-tried'; trials: ChannelTrial[] }
  /** Of the source: nothing of a bulk channel is on its way that was to be sent before this change (source/round-signal.ts). */
  | { type: 'round-answered'; change: number }
  /** Of the destination: pages wait for memory of this host. Once. */
  | { type: 'memory-short' }
  /** Of the destination: the source has lost that page to a memory error. */
  | { type: 'page-lost'; page: number }
  /** Of the destination: no page is missing. */
  | { type: 'all-installed' }
  /** Of the destination: its channels are broken, and it answers faults on pages that hold nothing only. */
  | { type: 'alone' };

/** A page worker that waits for a job, or does it. */
export type PageWorker<Job> = WorkerHandle<Job, PageNews>;

/**
 * Numbers that the addon returns are a page worker's only garbage, about a megabyte a second. With V8's usual young
 * generation of a megabyte it would be collected as often, and faults wait that long; memory that is never used costs
 * nothing. For workers started from now on.
 */
setFlagsFromString('--min-semi-space-size=16');

/** Resolves when the worker has loaded its code. */
export async function startPageWorker<Job>(code: WorkerCode): Promise<PageWorker<Job>> {
  const worker = new WorkerHandle<Job, PageNews>(code, 'page worker');
  await worker.loaded;
  return worker;
}

/** In the worker: what it throws, or gives to `fail` and goes on, is a failure of the migration. */
export function servePageJob<Job>(
  work: (job: Job, tell: Tell<PageNews>, fail: (error: unknown) => void) => void,
): void {
  serveJob<Job, PageNews>((job, tell) => {
    const fail = (error: unknown): void => {
      // A system call that failed on a socket is a lost link; our own errors say what they are.
      const code = error instanceof PostcopyError ? error.code : 'LINK_LOST';
      tell({ type: 'failed', message: describeError(error), code });
    };
    try {
      work(job, tell, fail);
    } catch (error) {
      fail(error);
    }
  });
}
