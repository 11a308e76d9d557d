/**
 * Installs pages that have come and keeps the books. The order matters: a page is missing until it is in place, because a
 * fault on a page that is not missing is answered with zeroes.
 */
import { PostcopyError } from '../../../errors.js';
import { DestinationPages } from '../../../memory/page-states.js';
import { native, type Userfaultfd } from '../../../native.js';
import { Counters } from '../../report/counters.js';
import { WaitHistogram } from '../../report/wait-histogram.js';
import { copyAll, hadContent } from './copy-all.js';
import type { DestinationChannelJob, DestinationJob } from '../job.js';
import type { PageSink } from './page-sink.js';
import { PendingFaults } from './pending-faults.js';

/** What the installer of one channel works with. */
export interface InstallerParts {
  userfaultfd: Userfaultfd;
  /** Of all channels. */
  pages: DestinationPages;
  pending: PendingFaults;
  /** Of this channel. */
  waits: WaitHistogram;
  counters: Counters;
}

export function installerParts(job: DestinationJob, channel: DestinationChannelJob): InstallerParts {
  return {
    userfaultfd: new native.Userfaultfd(null, job.userfaultfdHandle),
    pages: new DestinationPages(job.pages, job.maps),
    pending: new PendingFaults(job.pending),
    waits: new WaitHistogram(channel.waits),
    counters: new Counters(channel.counters),
  };
}

export interface InstallerNews {
  /** Once, by whoever installs the last page that was missing. */
  allInstalled(): void;
  /** Again and again while a page waits for memory of this host. */
  memoryShort(): void;
  /** The source has lost it to a memory error. */
  pageLost(page: number): void;
}

export class PageInstaller implements PageSink {
  readonly userfaultfd: Userfaultfd;
  readonly pages: DestinationPages;
  readonly pending: PendingFaults;
  readonly waits: WaitHistogram;
  readonly counters: Counters;
  #installed = 0;

  constructor(
    parts: InstallerParts,
    readonly tell: InstallerNews,
  ) {
    this.userfaultfd = parts.userfaultfd;
    this.pages = parts.pages;
    this.pending = parts.pending;
    this.waits = parts.waits;
    this.counters = parts.counters;
  }

  /** Pages of this channel that are in place, those of zeroes included. */
  get installed(): number {
    return this.#installed;
  }

  /** Throws BAD_PEER if one of the pages was not to come, or has come before. */
  expect(first: number, count: number): void {
    const { pages } = this.pages;
    if (first + count > pages) {
      throw new PostcopyError('BAD_PEER', `the source sent page ${first + count - 1}; the VM has ${pages}`);
    }
    for (let page = first; page < first + count; page++) {
      if (!this.pages.isMissing(page)) {
        throw new PostcopyError('BAD_PEER', `the source sent page ${page}, which was not to come or has come before`);
      }
    }
  }

  /**
   * Pages that were expected; who waits for them is woken. Returns how many are in place: fewer where this host has no memory
   * for the next one now, and then whoever waits for it waits on. Throws INTERNAL if one of them is there already.
   */
  install(first: number, count: number, from: Uint8Array, offset: number): number {
    const installed = copyAll(this.userfaultfd, first, count, from, offset);
    if (installed > 0) this.#settle(first, installed);
    if (installed < count) this.tell.memoryShort();
    return installed;
  }

  /** Expected pages that read zero: nothing is put there. Who waits for one faults again, and is given a zero page. */
  zero(first: number, count: number): void {
    this.#settle(first, count);
    this.userfaultfd.wake(first, count);
  }

  /** Expected pages that the source has lost: whoever touches one finds it so, as if it had been lost here. */
  lost(first: number, count: number): void {
    for (let page = first; page < first + count; page++) {
      if (this.userfaultfd.poison(page, 1) !== 1) throw hadContent(`page ${page}`);
      this.tell.pageLost(page);
      this.#settle(page, 1);
    }
  }

  #settle(first: number, count: number): void {
    this.pages.installed(first, count);
    this.pending.settle(first, count, this.waits);
    this.#installed += count;
    this.counters.set('installed', this.#installed);
    if (this.pages.settled(count)) this.tell.allInstalled();
  }
}
