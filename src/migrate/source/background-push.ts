/**
 * The push of one bulk channel: takes the next extent that nobody has sent yet and sends it, until none is left. Little
 * is in flight at any time, so that a page somebody waits for never queues behind many that nobody asked for. Pages of
 * zeroes (a huge page has many that were never written) are told, not sent.
 */
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { native, POLLIN, POLLOUT } from '../../native.js';
import { putSource, type ChannelTask } from '../../threads/channel-loop.js';
import {
  EXTENT_HEADER_BYTES,
  getCount,
  RECEIVED_BYTES,
  TAG_END,
  TAG_EXTENT,
  TAG_RECEIVED,
  TAG_ZERO,
} from '../wire/page-frames.js';
import { inOrder } from '../prefetch/in-order.js';
import { PushDepth } from '../flow/push-depth.js';
import { releaseReceived, type SourceChannel } from './source-channel.js';

/** What of PushDepth the push goes by. */
export type Depth = Pick<PushDepth, 'extentPages' | 'open' | 'sent' | 'acknowledged'>;

export class BackgroundPush implements ChannelTask {
  /** The frame on its way: its header, its pages in RAM, and how much of it is out. No frame if both are 0. */
  readonly #header = new Uint8Array(EXTENT_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#header.buffer);
  readonly #extent = new Uint32Array(2);
  #frameBytes = 0;
  #frameSent = 0;
  /** Pages claimed and not yet in a frame. */
  #first = 0;
  #count = 0;
  #after = 0;
  #ended = false;
  readonly #input = new Uint8Array(RECEIVED_BYTES * 256);
  readonly #inputWords = new Uint32Array(this.#input.buffer);
  #inputBytes = 0;

  constructor(
    readonly channel: SourceChannel,
    readonly depth: Depth = new PushDepth(),
  ) {}

  step(): boolean {
    const received = this.#takeReceived();
    if (!this.channel.link.handedOver) return received;
    return this.#send() || received;
  }

  sources(set: Int32Array, at: number): number {
    const events = this.#frameBytes > 0 ? POLLIN | POLLOUT : POLLIN;
    return putSource(set, at, this.channel.socket.fd, events);
  }

  idle(): void {}

  /** Sends what fits of the frame under way, or of the next. False if nothing fits, or nothing is left. */
  #send(): boolean {
    if (this.#frameBytes === 0 && !this.#nextFrame()) return false;
    const { socket, memory, counters } = this.channel;
    const sent = socket.trySendPages(memory, this.#header, EXTENT_HEADER_BYTES, this.#extent, 1, this.#frameSent);
    counters.add('bytes', sent);
    this.#frameSent += sent;
    if (this.#frameSent === this.#frameBytes) this.#frameBytes = 0;
    return sent > 0;
  }

  #nextFrame(): boolean {
    if (this.#ended || this.channel.sent.full || !this.depth.open) return false;
    if (this.#count === 0 && !this.#claim()) {
      this.#ended = true;
      this.#startFrame(TAG_END, 0, 0);
      return true;
    }
    const alike = this.channel.memory.zeroRun(this.#first, this.#count);
    const pages = Math.abs(alike);
    this.channel.sent.add(this.#first, pages);
    this.depth.sent(pages, native.monotonicMicros());
    this.channel.counters.add(alike > 0 ? 'zeroPages' : 'pages', pages);
    this.#startFrame(alike > 0 ? TAG_ZERO : TAG_EXTENT, this.#first, pages);
    this.#first += pages;
    this.#count -= pages;
    return true;
  }

  /** False if no page is left. */
  #claim(): boolean {
    const { unsent } = this.channel;
    for (;;) {
      let first = unsent.next(inOrder.next(this.#after));
      if (first < 0) first = unsent.next(0);
      if (first < 0) return false;
      this.#first = first;
      this.#count = unsent.claimRun(first, this.depth.extentPages);
      this.#after = first + this.#count;
      if (this.#count > 0) return true;
    }
  }

  #startFrame(tag: number, first: number, pages: number): void {
    this.#headerWords[0] = tag;
    this.#headerWords[1] = first;
    this.#headerWords[2] = pages;
    this.#extent[0] = first;
    this.#extent[1] = tag === TAG_EXTENT ? pages : 0;
    this.#frameBytes = EXTENT_HEADER_BYTES + this.#extent[1] * PAGE_SIZE;
    this.#frameSent = 0;
  }

  /** Takes what the destination acknowledged, and frees it here. */
  #takeReceived(): boolean {
    const { socket, link, sent } = this.channel;
    const got = socket.receive(this.#input, this.#inputBytes, 0, this.#input.length - this.#inputBytes, 0);
    if (got < 0) return false;
    if (got === 0) {
      if (link.stopped) return false;
      throw new PostcopyError('LINK_LOST', 'the destination closed a bulk channel');
    }
    this.#inputBytes += got;
    let at = 0;
    for (; this.#inputBytes - at >= RECEIVED_BYTES; at += RECEIVED_BYTES) {
      const word = at / 4;
      if (this.#inputWords[word] !== TAG_RECEIVED) {
        throw new PostcopyError('BAD_PEER', 'the destination sent something else than RECEIVED on a bulk channel');
      }
      sent.acknowledge(getCount(this.#inputWords, word + 2));
    }
    this.#input.copyWithin(0, at, this.#inputBytes);
    this.#inputBytes -= at;
    this.depth.acknowledged(sent.received, native.monotonicMicros());
    releaseReceived(this.channel);
    return true;
  }
}
