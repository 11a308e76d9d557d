/** The urgent channel at the destination: asks the source for pages, and installs them when they come. */
import { PostcopyError } from '../../../errors.js';
import { native, POLLIN, type Socket } from '../../../native.js';
import type { GoSignal } from '../../../threads/go-signal.js';
import type { PollSet } from '../../../threads/poll-set.js';
import { UrgentInbox } from '../../wire/page-inbox.js';
import { LINK_TIMEOUT_MS } from '../../wire/protocol.js';
import type { PageInstaller } from './page-installer.js';
import type { PageSupply } from './page-supply.js';
import { RequestQueue } from './request-queue.js';
import { TrialAnswers } from './trial-answers.js';

export class UrgentSupply implements PageSupply {
  readonly #requests: RequestQueue;
  readonly #inbox: UrgentInbox;
  readonly #trials: TrialAnswers;
  #waitingSince: number | undefined;
  /** The page of the frame at hand waits for memory of this host. */
  #short = false;

  constructor(
    readonly socket: Socket,
    readonly installer: PageInstaller,
    readonly signal: GoSignal,
  ) {
    this.#requests = new RequestQueue(socket);
    this.#inbox = new UrgentInbox(socket, signal);
    this.#trials = new TrialAnswers(socket, signal);
  }

  ask(pages: Uint32Array, count: number): void {
    this.#requests.ask(pages, count, this.installer.installed);
  }

  receive(): boolean {
    if (this.#short) {
      if (!this.#install(this.#inbox)) return false;
    } else if (!this.#inbox.receive()) return false;
    while (!this.#short && this.#inbox.next()) this.#take(this.#inbox);
    return true;
  }

  /** What comes meanwhile is left to the kernel. */
  sources(set: PollSet): void {
    if (!this.#short) set.add(this.socket.fd, POLLIN);
  }

  get triesAgain(): boolean {
    return this.#short;
  }

  /** Tells the source what has come, when there is nothing to ask for. */
  idle(): void {
    this.#requests.acknowledge(this.installer.installed);
    if (!this.signal.handedOver) this.#checkPatience();
  }

  #take(frame: UrgentInbox): void {
    if (frame.isTrial) return this.#trials.answer(frame.page);
    this.installer.expect(frame.page, 1);
    this.#waitingSince = undefined;
    if (frame.isLost) this.installer.lost(frame.page, 1);
    else this.#install(frame);
  }

  #install({ page, bytes, contentAt }: UrgentInbox): boolean {
    this.#short = this.installer.install(page, 1, bytes, contentAt) === 0;
    return !this.#short;
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
}
