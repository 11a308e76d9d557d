/**
 * The page server answers REQUESTs of the destination on the urgent channel. A requested page that is still here is sent
 * at once; one that the push took a moment ago is on its way already and is not sent again. The first requests are those
 * of vCPUs that have just gone on, one after the other, for page tables, code, stack and data: there, before the push
 * fills the link, the neighbours of a page go along with it.
 */
import { PostcopyError } from '../../errors.js';
import { native, POLLIN } from '../../native.js';
import type { ChannelTask } from '../../threads/channel-loop.js';
import type { PollSet } from '../../threads/poll-set.js';
import { FIRST_REQUESTS, GROUP_PAGES } from '../prefetch/first-requests.js';
import { RequestInbox } from '../wire/page-inbox.js';
import { UrgentOutbox } from '../wire/page-outbox.js';
import { REQUEST_PAGES_MAX } from '../wire/protocol.js';
import { releaseReceived, type SourceChannel } from './source-channel.js';

const FRAMES_MAX = REQUEST_PAGES_MAX * GROUP_PAGES;

export class PageServer implements ChannelTask {
  readonly #inbox: RequestInbox;
  readonly #outbox: UrgentOutbox;
  #requests = 0;

  constructor(
    readonly channel: SourceChannel,
    readonly firstRequests = FIRST_REQUESTS,
  ) {
    const { socket, memory, signal } = channel;
    this.#inbox = new RequestInbox(socket, signal);
    this.#outbox = new UrgentOutbox(socket, memory, FRAMES_MAX);
  }

  step(): boolean {
    if (!this.#inbox.receive()) return false;
    while (this.#inbox.next()) this.#answer(this.#inbox);
    releaseReceived(this.channel);
    return true;
  }

  sources(set: PollSet): void {
    set.add(this.channel.socket.fd, POLLIN);
  }

  idle(): void {}

  #answer(request: RequestInbox): void {
    this.channel.sent.acknowledge(request.received);
    const { count } = request;
    const now = native.monotonicMicros();
    for (let i = 0; i < count; i++) this.#takeRequested(request.page(i), now);
    if (this.#outbox.count > 0) this.#send();
  }

  #takeRequested(page: number, now: number): void {
    const { pages } = this.channel.pages;
    if (page >= pages) {
      throw new PostcopyError('BAD_PEER', `the destination asks for page ${page}; the VM has ${pages}`);
    }
    if (this.channel.rounds.open) {
      throw new PostcopyError(
        'BAD_PEER',
        `the destination asks for page ${page} before it was told of the guest's state`,
      );
    }
    this.channel.trail.add(page, now);
    this.#take(page);
    if (this.#requests++ < this.firstRequests) this.#takeNeighbours(page);
  }

  #takeNeighbours(page: number): void {
    const first = page - (page % GROUP_PAGES);
    const end = Math.min(first + GROUP_PAGES, this.channel.pages.pages);
    for (let neighbour = first; neighbour < end; neighbour++) this.#take(neighbour);
  }

  /** Makes a frame of the page, unless it has been sent. */
  #take(page: number): void {
    const { pages, memory, counters, tellsLost } = this.channel;
    if (!pages.claim(page)) return;
    if (memory.zeroRun(page, 1) !== 0) {
      this.#outbox.add(page);
    } else {
      counters.add('lost', 1);
      if (!tellsLost) return;
      this.#outbox.addLost(page);
    }
    this.channel.sent.add(page, 1);
  }

  #send(): void {
    const { counters } = this.channel;
    // Counted first: that they were asked for counts also where they can no longer be sent.
    counters.add('pages', this.#outbox.count);
    counters.add('bytes', this.#outbox.send());
  }
}
