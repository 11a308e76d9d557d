/**
 * The urgent channel at the destination: reads the faults of vCPUs and devices from the userfaultfd, asks the source for
 * their pages, and installs them when they come. Faults on pages that hold nothing are answered here.
 */
import { PostcopyError } from '../../../errors.js';
import { native, POLLIN, type Socket } from '../../../native.js';
import type { ChannelTask } from '../../../threads/channel-loop.js';
import { PollSet } from '../../../threads/poll-set.js';
import type { GoSignal } from '../../../threads/go-signal.js';
import { LONGEST_WAIT_MS } from '../../../threads/serve-job.js';
import { UrgentInbox } from '../../wire/page-inbox.js';
import { LINK_TIMEOUT_MS } from '../../wire/protocol.js';
import type { PageInstaller } from './page-installer.js';
import { RequestQueue } from './request-queue.js';

const FAULT_BATCH = 64;

export class FaultHandler implements ChannelTask {
  readonly #requests: RequestQueue;
  readonly #inbox: UrgentInbox;
  readonly #faults = new Uint32Array(FAULT_BATCH);
  #waitingSince: number | undefined;

  constructor(
    readonly socket: Socket,
    readonly installer: PageInstaller,
    readonly signal: GoSignal,
  ) {
    this.#requests = new RequestQueue(installer.pages, socket);
    this.#inbox = new UrgentInbox(socket, signal);
  }

  step(): boolean {
    const faults = this.#readFaults();
    return this.#receivePages() || faults;
  }

  sources(set: PollSet): void {
    set.add(this.installer.userfaultfd.fd, POLLIN);
    set.add(this.socket.fd, POLLIN);
  }

  /** Tells the source what has come, when there is nothing to ask for. */
  idle(): void {
    this.#requests.acknowledge(this.installer.installed);
    if (!this.signal.handedOver) this.#checkPatience();
  }

  /**
   * Before the hand-over a fault is the main thread's, in a system call of KVM that no signal ends: a source that is
   * silent must not hold it for ever.
   */
  #checkPatience(): void {
    if (this.installer.pending.waiting === 0) {
      this.#waitingSince = undefined;
      return;
    }
    const now = native.monotonicMicros();
    this.#waitingSince ??= now;
    if (now - this.#waitingSince > LINK_TIMEOUT_MS * 1000) {
      throw new PostcopyError('LINK_LOST', `the source has not sent a page for ${LINK_TIMEOUT_MS / 1000} s`);
    }
  }

  #readFaults(): boolean {
    const count = this.installer.userfaultfd.readFaults(this.#faults);
    if (count === 0) return false;
    const now = native.monotonicMicros();
    for (let i = 0; i < count; i++) this.#fault(this.#faults[i]!, now);
    this.#requests.flush(this.installer.installed);
    return true;
  }

  #fault(page: number, now: number): void {
    const { pages, pending, userfaultfd, counters, waits } = this.installer;
    if (!pages.isMissing(page)) {
      // It holds nothing; or a bulk channel has just installed it, then this only wakes.
      counters.add('zeroFaults', userfaultfd.zero(page, 1));
      return;
    }
    pending.add(page, now);
    // A bulk channel may have installed it before it could see the entry: its install has woken the vCPU.
    if (!pages.isMissing(page)) pending.settle(page, 1, waits);
    else this.#requests.add(page, this.installer.installed);
  }

  #receivePages(): boolean {
    if (!this.#inbox.receive()) return false;
    while (this.#inbox.next()) this.#install(this.#inbox);
    return true;
  }

  #install({ page, bytes, contentAt }: UrgentInbox): void {
    this.installer.expect(page, 1);
    this.installer.install(page, 1, bytes, contentAt);
    this.#waitingSince = undefined;
  }

  /**
   * The link broke before COMMIT: this guest will never run here, but the main thread may be in KVM, waiting for a page
   * of it. Any content will do to let it go.
   */
  discard(): void {
    const { userfaultfd } = this.installer;
    const set = new PollSet();
    while (!this.signal.stopped) {
      set.clear();
      set.add(userfaultfd.fd, POLLIN);
      if (!set.wait(LONGEST_WAIT_MS)) continue;
      const count = userfaultfd.readFaults(this.#faults);
      for (let i = 0; i < count; i++) userfaultfd.zero(this.#faults[i]!, 1);
    }
  }
}
