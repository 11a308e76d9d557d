/**
 * The push of one bulk channel: takes the next extent that nobody has sent yet and sends it, until none is left. Little
 * is in flight at any time, so that a page somebody waits for never queues behind many that nobody asked for; and no more
 * in a second than the limit that all channels share. Pages of zeroes (a huge page has many that were never written) are
 * told, not sent, and so are those that a memory error has taken.
 *
 * It begins with the hand-over, unless there are rounds before it (round-signal.ts): in those it sends copies of pages that the
 * guest goes on changing, and answers each round when its own part of it has arrived.
 */
import { PostcopyError } from '../../errors.js';
import { native, POLLIN, POLLOUT } from '../../native.js';
import type { ChannelTask } from '../../threads/channel-loop.js';
import type { PollSet } from '../../threads/poll-set.js';
import type { Extent, MakePlan, PagePlan } from '../prefetch/page-plan.js';
import { PushDepth } from '../flow/push-depth.js';
import { ReceivedInbox } from '../wire/page-inbox.js';
import { ExtentOutbox } from '../wire/page-outbox.js';
import { releaseReceived, type SourceChannel } from './source-channel.js';

/** What of PushDepth the push goes by. */
export type Depth = Pick<PushDepth, 'extentPages' | 'open' | 'sent' | 'acknowledged'>;

export class BackgroundPush implements ChannelTask {
  readonly #inbox: ReceivedInbox;
  readonly #outbox: ExtentOutbox;
  /** Pages claimed and not yet in a frame. */
  #first = 0;
  #count = 0;
  readonly #plan: PagePlan;
  readonly #planned: Extent = { first: 0, pages: 0 };
  #ended = false;
  /** The limit lets no frame begin before; 0: it was not in the way. */
  #waitMicros = 0;
  /** The last change of the rounds that was answered. */
  #answered = 0;

  constructor(
    readonly channel: SourceChannel,
    makePlan: MakePlan,
    readonly depth: Depth = new PushDepth(),
    /** Nothing of what was to be sent before this change of the rounds is on its way here, or unsent. */
    readonly answer: (change: number) => void = () => {},
  ) {
    const { socket, memory, signal, pages, recent } = channel;
    this.#plan = makePlan(pages, recent);
    this.#inbox = new ReceivedInbox(socket, signal);
    this.#outbox = new ExtentOutbox(socket, memory);
  }

  step(): boolean {
    const received = this.#takeReceived();
    this.#waitMicros = 0;
    if (this.channel.signal.handedOver) return this.#send() || received;
    return this.#stepRound() || received;
  }

  /** Before the hand-over. */
  #stepRound(): boolean {
    const { rounds, sent, pages } = this.channel;
    const { change, open } = rounds;
    if (change === this.#answered) return false;
    if (this.#send()) return true;
    const isClear = sent.empty && this.#count === 0 && !this.#outbox.isUnderWay;
    // Another channel may have claimed what is left; it answers for that itself.
    if (!isClear || (open && pages.nextUnsent(0) >= 0)) return false;
    this.#answered = change;
    this.answer(change);
    return true;
  }

  sources(set: PollSet): void {
    set.add(this.channel.socket.fd, this.#outbox.isUnderWay ? POLLIN | POLLOUT : POLLIN);
  }

  idle(): void {}

  /** Not while there is something else that it waits for. */
  get dueMs(): number {
    return Math.ceil(this.#waitMicros / 1000);
  }

  /** Sends what fits of the frames under way, or of the next. False if nothing fits, or nothing is left. */
  #send(): boolean {
    if (!this.#outbox.isUnderWay) this.#gather();
    if (!this.#outbox.isUnderWay) return false;
    const sent = this.#outbox.send();
    this.channel.counters.add('bytes', sent);
    return sent > 0;
  }

  /** What is left may lie scattered: as many pages go at once as one extent would have. */
  #gather(): void {
    while (this.#outbox.hasRoom && this.#outbox.pages < this.depth.extentPages && this.#nextFrame());
  }

  #nextFrame(): boolean {
    if (this.#ended || this.channel.sent.full || !this.depth.open) return false;
    const now = native.monotonicMicros();
    const { handedOver } = this.channel.signal;
    const mayClaim = handedOver || this.channel.rounds.open;
    if (this.#count === 0 && mayClaim && this.#isLimited(now)) return false;
    if (this.#count === 0 && !(mayClaim && this.#claim())) {
      if (!handedOver) return false;
      this.#ended = true;
      this.#outbox.addEnd();
      return true;
    }
    const alike = this.channel.memory.zeroRun(this.#first, this.#count);
    if (alike === 0 && !handedOver) throw lostInRound(this.#first);
    if (alike === 0 && !this.channel.tellsLost) return this.#passOver();
    const pages = Math.abs(alike) || 1;
    this.channel.sent.add(this.#first, pages);
    this.depth.sent(pages, now);
    this.#plan.sent(this.#first, pages);
    const [zero, data] = handedOver ? (['zeroPages', 'pages'] as const) : (['zeroCopies', 'copies'] as const);
    this.channel.counters.add(alike > 0 ? zero : alike < 0 ? data : 'lost', pages);
    this.channel.limit.charge(this.#add(alike, pages), now);
    this.#first += pages;
    this.#count -= pages;
    return true;
  }

  /** Adds a frame of the pages at hand, and returns its bytes. */
  #add(alike: number, pages: number): number {
    if (alike === 0) return this.#outbox.addLost(this.#first, pages);
    return alike > 0 ? this.#outbox.addZero(this.#first, pages) : this.#outbox.addExtent(this.#first, pages);
  }

  /** The page at hand is lost, and stays missing at the destination. */
  #passOver(): boolean {
    this.channel.counters.add('lost', 1);
    this.#first++;
    this.#count--;
    return this.#nextFrame();
  }

  /** Of pages that are claimed it is not asked: somebody may be waiting for one of them by now. */
  #isLimited(now: number): boolean {
    this.#waitMicros = this.channel.limit.waitMicros(now);
    return this.#waitMicros > 0;
  }

  /** False if no page is left. A plan that asks for no page at all, or for what is no number, gets one. */
  #claim(): boolean {
    const { pages, trail, limit } = this.channel;
    const most = limit.framePages(this.depth.extentPages - this.#outbox.pages);
    trail.follow(this.#plan);
    for (;;) {
      this.#plan.next(this.#planned, most);
      const first = this.#firstUnsent(this.#planned.first);
      if (first < 0) return false;
      this.#first = first;
      this.#count = pages.claimRun(first, this.#planned.pages >= 1 ? Math.min(this.#planned.pages, most) : 1);
      if (this.#count > 0) return true;
    }
  }

  /** From there on, or else of all. */
  #firstUnsent(from: number): number {
    const { pages } = this.channel;
    const first = pages.nextUnsent(from);
    return first < 0 ? pages.nextUnsent(0) : first;
  }

  /** Takes what the destination acknowledged, and frees it here. */
  #takeReceived(): boolean {
    if (!this.#inbox.receive()) return false;
    const { sent } = this.channel;
    while (this.#inbox.next()) sent.acknowledge(this.#inbox.received);
    this.depth.acknowledged(sent.received, native.monotonicMicros());
    if (this.channel.signal.handedOver) releaseReceived(this.channel);
    else sent.forget();
    return true;
  }
}

/** The destination would take it for a page of zeroes as soon as the guest runs. */
function lostInRound(page: number): PostcopyError {
  const text = `page ${page} of the VM is lost to a memory error, which is not told in rounds: only post-copy moves it`;
  return new PostcopyError('HOST_LACKS', text);
}
