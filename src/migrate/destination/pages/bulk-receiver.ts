/** One bulk channel at the destination: receives extents and gives them to a sink piece by piece as they come. */
import { PostcopyError } from '../../../errors.js';
import { native, POLLIN, type Socket } from '../../../native.js';
import type { ChannelTask } from '../../../threads/channel-loop.js';
import type { PollSet } from '../../../threads/poll-set.js';
import type { GoSignal } from '../../../threads/go-signal.js';
import { TAG_END, TAG_LOST, TAG_TRIAL, TAG_ZERO } from '../../wire/page-frames.js';
import { ExtentInbox } from '../../wire/page-inbox.js';
import { ReceivedOutbox } from '../../wire/page-outbox.js';
import { HANDED_OVER_LINK_TIMEOUT_MS } from '../../wire/protocol.js';
import type { PageSink } from './page-sink.js';
import { TrialAnswers } from './trial-answers.js';

/** Pages installed in one step at most: a fault that has come meanwhile waits that long. */
const STEP_PAGES = 32;

export class BulkReceiver implements ChannelTask {
  readonly #inbox: ExtentInbox;
  readonly #outbox: ReceivedOutbox;
  readonly #trials: TrialAnswers;
  /** Of the extent under way (0 without one): its pages, and how many of them are installed. */
  #pages = 0;
  #installed = 0;
  /** What is under way is no extent, but a trial: nothing of it is installed. */
  #isTrial = false;
  #ended = false;
  /** Pages are in place that the source has not been told of. */
  #owes = false;
  /** The next page waits for memory of this host. */
  #short = false;
  #lastAt = native.monotonicMicros();

  constructor(
    readonly socket: Socket,
    readonly sink: PageSink,
    readonly signal: GoSignal,
  ) {
    this.#inbox = new ExtentInbox(socket, signal);
    this.#outbox = new ReceivedOutbox(socket);
    this.#trials = new TrialAnswers(socket, signal);
  }

  /** Many pages are received at once, which costs a fraction of receiving them piece by piece, and then installed. */
  step(): boolean {
    const worked = this.#install() || this.#receive();
    // Of many short extents that are here, not each for itself.
    if (this.#owes && !this.#hasMore) this.#acknowledge();
    return worked;
  }

  #receive(): boolean {
    if (this.#short || !this.#inbox.receive()) return false;
    this.#lastAt = native.monotonicMicros();
    this.#takeFrames();
    return true;
  }

  /** Pages that the next step installs. */
  get #hasMore(): boolean {
    if (this.#pages === 0 || this.#isTrial || this.#short) return false;
    return this.#inbox.pagesHere > this.#installed;
  }

  #acknowledge(): void {
    this.#outbox.send(this.sink.installed);
    this.#owes = false;
  }

  /** What comes meanwhile is left to the kernel. */
  sources(set: PollSet): void {
    if (!this.#short) set.add(this.socket.fd, POLLIN);
  }

  get triesAgain(): boolean {
    return this.#short;
  }

  idle(): void {
    const now = native.monotonicMicros();
    if (this.#inbox.isEmpty || this.#short) this.#lastAt = now;
    if (now - this.#lastAt > HANDED_OVER_LINK_TIMEOUT_MS * 1000) {
      throw new PostcopyError(
        'LINK_LOST',
        `the source stopped in the middle of a page ${HANDED_OVER_LINK_TIMEOUT_MS / 1000} s ago`,
      );
    }
  }

  /** Up to an extent, whose pages are installed in steps: frames without pages are done with their header. */
  #takeFrames(): void {
    while (this.#pages === 0 && this.#inbox.next()) this.#takeFrame(this.#inbox);
  }

  #takeFrame({ tag, first, count }: ExtentInbox): void {
    if (this.#ended) throw new PostcopyError('BAD_PEER', 'the source sent more on a bulk channel after its end');
    if (tag === TAG_END) {
      this.#ended = true;
      return;
    }
    this.#isTrial = tag === TAG_TRIAL;
    if (this.#isTrial) {
      if (count === 0) this.#trials.answer(0);
      this.#pages = count;
      return;
    }
    this.sink.expect(first, count);
    if (tag === TAG_ZERO || tag === TAG_LOST) {
      if (tag === TAG_ZERO) this.sink.zero(first, count);
      else this.sink.lost(first, count);
      this.#owes = true;
    } else {
      this.#pages = count;
      this.#installed = 0;
    }
  }

  /** Installs pages that are whole; behind the last of an extent the source is told. False if none is, or can be now. */
  #install(): boolean {
    if (this.#pages === 0) return false;
    if (this.#isTrial) return this.#answerTrial();
    const inbox = this.#inbox;
    const count = Math.min(STEP_PAGES, inbox.pagesHere - this.#installed);
    if (count === 0) return false;
    const at = this.#installed;
    const installed = this.sink.install(inbox.first + at, count, inbox.bytes, inbox.contentAt(at));
    this.#short = installed < count;
    this.#installed += installed;
    if (this.#installed === this.#pages) {
      this.#owes = true;
      this.#pages = 0;
      this.#takeFrames();
    }
    return installed > 0;
  }

  /** Once it is whole. */
  #answerTrial(): boolean {
    if (this.#inbox.pagesHere < this.#pages) return false;
    this.#trials.answer(this.#pages);
    this.#pages = 0;
    this.#takeFrames();
    return true;
  }
}
