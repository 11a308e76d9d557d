/**
 * Installs pages that have come and keeps the books. The order matters: a page's `missing` bit is cleared after the page
 * is in place, because a fault on a page that is not missing is answered with zeroes.
 */
import { PostcopyError } from '../../../errors.js';
import { PageBitmap } from '../../../memory/page-bitmap.js';
import { native, type Userfaultfd } from '../../../native.js';
import { Counters } from '../../counters.js';
import type { Report } from '../../page-worker.js';
import { WaitHistogram } from '../../wait-histogram.js';
import { ALL_INSTALLED, type DestinationJob } from './jobs.js';
import { PendingFaults } from './pending-faults.js';

export class PageInstaller {
  readonly userfaultfd: Userfaultfd;
  readonly missing: PageBitmap;
  readonly pending: PendingFaults;
  readonly waits: WaitHistogram;
  readonly counters: Counters;
  readonly #left: Int32Array;
  #installed = 0;

  constructor(
    job: DestinationJob,
    readonly report: Report,
  ) {
    this.userfaultfd = new native.Userfaultfd(null, job.userfaultfdHandle);
    this.missing = new PageBitmap(job.pages, job.missing);
    this.pending = new PendingFaults(job.pending);
    this.waits = new WaitHistogram(job.waits);
    this.counters = new Counters(job.counters);
    this.#left = new Int32Array(job.left);
  }

  /** Pages that this worker has installed so far. */
  get installed(): number {
    return this.#installed;
  }

  /** Throws BAD_PEER if one of the pages was not to come, or has come before. */
  install(first: number, count: number, from: Uint8Array, offset: number): void {
    this.#check(first, count);
    this.userfaultfd.copy(first, count, from, offset);
    this.missing.clearRange(first, count);
    this.pending.settle(first, count, this.waits);
    this.#installed += count;
    this.counters.set('installed', this.#installed);
    if (Atomics.sub(this.#left, 0, count) === count) this.report(ALL_INSTALLED);
  }

  #check(first: number, count: number): void {
    if (first + count > this.missing.pages) {
      throw new PostcopyError(
        'BAD_PEER',
        `the source sent page ${first + count - 1}; the VM has ${this.missing.pages}`,
      );
    }
    for (let page = first; page < first + count; page++) {
      if (!this.missing.has(page)) {
        throw new PostcopyError('BAD_PEER', `the source sent page ${page}, which was not to come or has come before`);
      }
    }
  }
}
