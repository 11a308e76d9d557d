/**
 * The page server answers REQUESTs of the destination on the urgent channel. A requested page that is still here is sent
 * at once; one that the push took a moment ago is on its way already and is not sent again. The first requests are those
 * of vCPUs that have just gone on, one after the other, for page tables, code, stack and data: there, before the push
 * fills the link, the neighbours of a page go along with it.
 */
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { POLLIN } from '../../native.js';
import { putSource, type ChannelTask } from '../../threads/channel-loop.js';
import { getCount, PAGE_HEADER_BYTES, REQUEST_HEADER_BYTES, TAG_PAGE, TAG_REQUEST } from '../wire/page-frames.js';
import { REQUEST_PAGES_MAX } from '../wire/protocol.js';
import { releaseReceived, type SourceChannel } from './source-channel.js';

/** Requests whose neighbours go along, and pages in such a group, aligned. */
const FIRST_REQUESTS = 64;
const GROUP_PAGES = 8;
const FRAMES_MAX = REQUEST_PAGES_MAX * GROUP_PAGES;

export class PageServer implements ChannelTask {
  readonly #input = new Uint8Array(64 * 1024);
  readonly #inputWords = new Uint32Array(this.#input.buffer);
  #inputBytes = 0;
  readonly #headers = new Uint8Array(FRAMES_MAX * PAGE_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#headers.buffer);
  readonly #extents = new Uint32Array(FRAMES_MAX * 2);

  #frames = 0;
  #requests = 0;

  constructor(
    readonly channel: SourceChannel,
    readonly firstRequests = FIRST_REQUESTS,
  ) {}

  step(): boolean {
    const { socket, link } = this.channel;
    const got = socket.receive(this.#input, this.#inputBytes, 0, this.#input.length - this.#inputBytes, 0);
    if (got < 0) return false;
    if (got === 0) {
      if (link.stopped) return false;
      throw new PostcopyError('LINK_LOST', 'the destination closed the urgent channel');
    }
    this.#inputBytes += got;
    this.#answerAll();
    releaseReceived(this.channel);
    return true;
  }

  sources(set: Int32Array, at: number): number {
    return putSource(set, at, this.channel.socket.fd, POLLIN);
  }

  idle(): void {}

  /** Answers the requests that are whole, keeps the rest. */
  #answerAll(): void {
    let at = 0;
    while (this.#inputBytes - at >= REQUEST_HEADER_BYTES) {
      const word = at / 4;
      const count = this.#inputWords[word + 1]!;
      if (this.#inputWords[word] !== TAG_REQUEST || count > REQUEST_PAGES_MAX) {
        throw new PostcopyError('BAD_PEER', 'the destination sent something else than a page request');
      }
      const bytes = REQUEST_HEADER_BYTES + count * 4;
      if (this.#inputBytes - at < bytes) break;
      this.channel.sent.acknowledge(getCount(this.#inputWords, word + 2));
      this.#send(word + REQUEST_HEADER_BYTES / 4, count);
      at += bytes;
    }
    this.#input.copyWithin(0, at, this.#inputBytes);
    this.#inputBytes -= at;
  }

  #send(word: number, count: number): void {
    const { unsent, socket, memory, counters } = this.channel;
    this.#frames = 0;
    for (let i = 0; i < count; i++) {
      const page = this.#inputWords[word + i]!;
      if (page >= unsent.pages) {
        throw new PostcopyError('BAD_PEER', `the destination asks for page ${page}; the VM has ${unsent.pages}`);
      }
      this.#take(page);
      if (this.#requests++ < this.firstRequests) this.#takeNeighbours(page);
    }
    if (this.#frames === 0) return;
    // Counted first: that they were asked for counts also where they can no longer be sent.
    counters.add('pages', this.#frames);
    socket.sendPages(memory, this.#headers, PAGE_HEADER_BYTES, this.#extents, this.#frames);
    counters.add('bytes', this.#frames * (PAGE_HEADER_BYTES + PAGE_SIZE));
  }

  #takeNeighbours(page: number): void {
    const first = page - (page % GROUP_PAGES);
    const end = Math.min(first + GROUP_PAGES, this.channel.unsent.pages);
    for (let neighbour = first; neighbour < end; neighbour++) this.#take(neighbour);
  }

  /** Makes a frame of the page, unless it has been sent. */
  #take(page: number): void {
    if (!this.channel.unsent.clear(page)) return;
    const at = this.#frames++ * 2;
    this.#headerWords[at] = TAG_PAGE;
    this.#headerWords[at + 1] = page;
    this.#extents[at] = page;
    this.#extents[at + 1] = 1;
    this.channel.sent.add(page, 1);
  }
}
