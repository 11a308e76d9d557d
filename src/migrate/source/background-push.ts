/**
 * A bulk worker of the source: takes the next extent that nobody has sent yet and sends it, until none is left. Little
 * is in flight at any time, so that a page somebody waits for never queues behind many that nobody asked for.
 */
import { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { native, POLLIN } from '../../native.js';
import { Counters } from '../counters.js';
import { LinkSwitch } from '../link-switch.js';
import { EXTENT_HEADER_BYTES, getCount, RECEIVED_BYTES, TAG_END, TAG_EXTENT, TAG_RECEIVED } from '../page-frames.js';
import { BULK_NICE, LONGEST_WAIT_MS, servePageJob, type Report } from '../page-worker.js';
import { inOrder } from '../prefetch/in-order.js';
import { EXTENT_PAGES_MAX } from '../protocol.js';
import { CHANNEL_OPEN, type SourceJob } from './jobs.js';
import { openChannel } from './open-channel.js';
import { SentPages } from './sent-pages.js';

class BackgroundPush {
  readonly #memory;
  readonly #socket;
  readonly #unsent: PageBitmap;
  readonly #link: LinkSwitch;
  readonly #counters: Counters;
  readonly #sent: SentPages;

  readonly #header = new Uint8Array(EXTENT_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#header.buffer);
  readonly #extent = new Uint32Array(2);
  readonly #input = new Uint8Array(RECEIVED_BYTES * 256);
  readonly #inputWords = new Uint32Array(this.#input.buffer);
  #inputBytes = 0;

  constructor(job: SourceJob, report: Report) {
    this.#memory = new native.GuestMemory(null, job.memoryHandle);
    this.#socket = openChannel(job.address);
    report(CHANNEL_OPEN, this.#socket.handle);
    this.#unsent = new PageBitmap(job.pages, job.unsent);
    this.#link = new LinkSwitch(job.link);
    this.#counters = new Counters(job.counters);
    this.#sent = new SentPages(this.#memory);
  }

  run(): void {
    while (!this.#link.handedOver && !this.#link.stopped) this.#link.waitForHandOver(LONGEST_WAIT_MS);
    this.#sendAll();
    this.#sendHeader(TAG_END, 0, 0);
    while (!this.#link.stopped) this.#takeReceived(LONGEST_WAIT_MS);
  }

  #sendAll(): void {
    let after = 0;
    while (!this.#link.stopped) {
      let first = this.#unsent.next(inOrder.next(after));
      if (first < 0) first = this.#unsent.next(0);
      if (first < 0) return;
      const count = this.#unsent.claimRun(first, EXTENT_PAGES_MAX);
      if (count > 0) this.#sendExtent(first, count);
      after = first + count;
      while (this.#sent.full && !this.#link.stopped) this.#takeReceived(LONGEST_WAIT_MS);
      this.#takeReceived(0);
    }
  }

  #sendExtent(first: number, count: number): void {
    this.#extent[0] = first;
    this.#extent[1] = count;
    this.#fillHeader(TAG_EXTENT, first, count);
    this.#sent.add(first, count);
    this.#socket.sendPages(this.#memory, this.#header, EXTENT_HEADER_BYTES, this.#extent, 1);
    this.#counters.add('pages', count);
    this.#counters.add('bytes', EXTENT_HEADER_BYTES + count * PAGE_SIZE);
  }

  #sendHeader(tag: number, first: number, count: number): void {
    this.#fillHeader(tag, first, count);
    this.#socket.send(this.#header, 0, EXTENT_HEADER_BYTES);
    this.#counters.add('bytes', EXTENT_HEADER_BYTES);
  }

  #fillHeader(tag: number, first: number, count: number): void {
    this.#headerWords[0] = tag;
    this.#headerWords[1] = first;
    this.#headerWords[2] = count;
    this.#headerWords[3] = 0;
  }

  /** Takes what the destination acknowledged, waiting up to `timeoutMs` for it, and frees it here. */
  #takeReceived(timeoutMs: number): void {
    const set = POLL_SET;
    set[0] = this.#socket.fd;
    if (native.poll(set, 1, timeoutMs) === 0) return;
    const got = this.#socket.receive(this.#input, this.#inputBytes, 0, this.#input.length - this.#inputBytes, 0);
    if (got < 0) return;
    if (got === 0) {
      if (this.#link.stopped) return;
      throw new PostcopyError('LINK_LOST', 'the destination closed a bulk channel');
    }
    this.#inputBytes += got;
    let at = 0;
    for (; this.#inputBytes - at >= RECEIVED_BYTES; at += RECEIVED_BYTES) {
      const word = at / 4;
      if (this.#inputWords[word] !== TAG_RECEIVED) {
        throw new PostcopyError('BAD_PEER', 'the destination sent something else than RECEIVED on a bulk channel');
      }
      this.#sent.acknowledge(getCount(this.#inputWords, word + 2));
    }
    this.#input.copyWithin(0, at, this.#inputBytes);
    this.#inputBytes -= at;
    this.#sent.release();
    this.#counters.set('released', this.#sent.released);
  }
}

const POLL_SET = new Int32Array([-1, POLLIN, 0]);

servePageJob<SourceJob>((job, report) => {
  native.setThreadNice(BULK_NICE);
  new BackgroundPush(job, report).run();
});
