/**
 * Page workers that load their code while the ends of a migration whose link broke look for each other: loading takes longer
 * than all else that there is to do when they have met.
 */
import { availableParallelism } from 'node:os';
import { PostcopyError } from '../../errors.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { planWorkers } from './worker-plan.js';

export class SpareWorkers<Job> {
  #workers: Promise<PageWorker<Job>>[] = [];
  #ended = false;

  /** As many as that many bulk channels take on this host. */
  constructor(
    readonly bulkChannels: number,
    readonly start: () => Promise<PageWorker<Job>>,
  ) {}

  /** Starts them, unless they are there. */
  prepare(): void {
    if (this.#workers.length > 0) return;
    this.#workers = planWorkers(this.bulkChannels, availableParallelism()).map(() => this.start());
    for (const worker of this.#workers) worker.catch(() => {}); // told by take()
  }

  /** All of them, ready for a job, and the caller's from now on. Throws if one cannot be started, or behind end(). */
  async take(): Promise<PageWorker<Job>[]> {
    this.prepare();
    const workers = this.#workers;
    this.#workers = [];
    try {
      const ready = await Promise.all(workers);
      if (this.#ended) throw new PostcopyError('MIGRATION_FAILED', 'the migration is over');
      return ready;
    } catch (error) {
      await endAll(workers);
      throw error;
    }
  }

  /** Ends those that nobody has taken. */
  async end(): Promise<void> {
    this.#ended = true;
    await endAll(this.#workers);
  }
}

async function endAll<Job>(workers: Promise<PageWorker<Job>>[]): Promise<void> {
  const started = await Promise.allSettled(workers);
  await Promise.all(started.flatMap((worker) => (worker.status === 'fulfilled' ? [worker.value.end()] : [])));
}
