/**
 * The fault worker: reads the faults of vCPUs and devices from the userfaultfd, asks the source for their pages on the
 * urgent channel, and installs them when they come. Faults on pages that were never written are answered here.
 */
import { PostcopyError } from '../../../errors.js';
import { native, POLLIN } from '../../../native.js';
import { LinkSwitch } from '../../link-switch.js';
import { PAGE_FRAME_BYTES, PAGE_HEADER_BYTES, TAG_PAGE } from '../../page-frames.js';
import { FAULT_NICE, LONGEST_WAIT_MS, servePageJob, type Report } from '../../page-worker.js';
import { LINK_TIMEOUT_MS } from '../../protocol.js';
import type { DestinationJob } from './jobs.js';
import { PageInstaller } from './page-installer.js';
import { RequestQueue } from './request-queue.js';

const FAULT_BATCH = 64;
const STAGED_PAGES = 32;
/** With nothing to do for that long, the source is told what has come. */
const IDLE_MS = 20;

class FaultWorker {
  readonly #socket;
  readonly #installer: PageInstaller;
  readonly #requests: RequestQueue;
  readonly #link: LinkSwitch;
  readonly #faults = new Uint32Array(FAULT_BATCH);
  readonly #staging = new Uint8Array(STAGED_PAGES * PAGE_FRAME_BYTES);
  readonly #stagingWords = new Uint32Array(this.#staging.buffer);
  #staged = 0;
  #waitingSince: number | undefined;

  constructor(job: DestinationJob, report: Report) {
    this.#socket = new native.Socket(null, job.socketHandle);
    this.#installer = new PageInstaller(job, report);
    this.#requests = new RequestQueue(job.pages, this.#socket);
    this.#link = new LinkSwitch(job.link);
  }

  run(): void {
    const set = new Int32Array([this.#installer.userfaultfd.fd, POLLIN, 0, this.#socket.fd, POLLIN, 0]);
    let idle = false;
    while (!this.#link.stopped) {
      const ready = native.poll(set, 2, idle ? LONGEST_WAIT_MS : IDLE_MS);
      if (!this.#link.handedOver) this.#checkPatience();
      if (ready === 0) {
        this.#requests.acknowledge(this.#installer.installed);
        idle = true;
        continue;
      }
      idle = false;
      if (set[2] !== 0) this.#readFaults();
      if (set[5] !== 0) this.#receivePages();
    }
  }

  /**
   * Before the hand-over a fault is the main thread's, in a system call of KVM that no signal ends: a source that is
   * silent must not hold it for ever.
   */
  #checkPatience(): void {
    if (this.#installer.pending.waiting === 0) {
      this.#waitingSince = undefined;
      return;
    }
    const now = native.monotonicMicros();
    this.#waitingSince ??= now;
    if (now - this.#waitingSince > LINK_TIMEOUT_MS * 1000) {
      throw new PostcopyError('LINK_LOST', `the source has not sent a page for ${LINK_TIMEOUT_MS / 1000} s`);
    }
  }

  #readFaults(): void {
    const count = this.#installer.userfaultfd.readFaults(this.#faults);
    const now = native.monotonicMicros();
    for (let i = 0; i < count; i++) this.#fault(this.#faults[i]!, now);
    this.#requests.flush(this.#installer.installed);
  }

  #fault(page: number, now: number): void {
    const { missing, pending, userfaultfd, counters, waits } = this.#installer;
    if (!missing.has(page)) {
      // Never written at the source; or a bulk worker has just installed it, then this only wakes.
      counters.add('zeroFaults', userfaultfd.zero(page, 1));
      return;
    }
    pending.add(page, now);
    // A bulk worker may have installed it before it could see the entry: its install has woken the vCPU.
    if (!missing.has(page)) pending.settle(page, 1, waits);
    else this.#requests.add(page, this.#installer.installed);
  }

  #receivePages(): void {
    const got = this.#socket.receive(this.#staging, this.#staged, 0, this.#staging.length - this.#staged, 0);
    if (got < 0) return;
    if (got === 0) {
      if (this.#link.stopped) return;
      throw new PostcopyError('LINK_LOST', 'the source closed the urgent channel');
    }
    this.#staged += got;
    let at = 0;
    for (; this.#staged - at >= PAGE_FRAME_BYTES; at += PAGE_FRAME_BYTES) {
      if (this.#stagingWords[at / 4] !== TAG_PAGE) {
        throw new PostcopyError('BAD_PEER', 'the source sent something else than a page on the urgent channel');
      }
      this.#installer.install(this.#stagingWords[at / 4 + 1]!, 1, this.#staging, at + PAGE_HEADER_BYTES);
    }
    this.#staging.copyWithin(0, at, this.#staged);
    this.#staged -= at;
  }

  /**
   * The link broke before COMMIT: this guest will never run here, but the main thread may be in KVM, waiting for a page
   * of it. Any content will do to let it go.
   */
  discard(): void {
    const set = new Int32Array([this.#installer.userfaultfd.fd, POLLIN, 0]);
    while (!this.#link.stopped) {
      if (native.poll(set, 1, LONGEST_WAIT_MS) === 0) continue;
      const count = this.#installer.userfaultfd.readFaults(this.#faults);
      for (let i = 0; i < count; i++) this.#installer.userfaultfd.zero(this.#faults[i]!, 1);
    }
  }
}

servePageJob<DestinationJob>((job, report, fail) => {
  native.setThreadNice(FAULT_NICE);
  const worker = new FaultWorker(job, report);
  try {
    worker.run();
  } catch (error) {
    // From here on either faults are answered with anything, or the guest may run; never both.
    if (!new LinkSwitch(job.link).break()) throw error;
    fail(error);
    worker.discard();
  }
});
