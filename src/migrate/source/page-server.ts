/**
 * The page server: a worker that answers REQUESTs of the destination on the urgent channel. A requested page that is
 * still here is sent at once; one that a bulk worker took a moment ago is on its way already and is not sent again.
 */
import { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { native, POLLIN } from '../../native.js';
import { Counters } from '../counters.js';
import { LinkSwitch } from '../link-switch.js';
import { getCount, PAGE_HEADER_BYTES, REQUEST_HEADER_BYTES, TAG_PAGE, TAG_REQUEST } from '../page-frames.js';
import { FAULT_NICE, LONGEST_WAIT_MS, servePageJob, type Report } from '../page-worker.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { REQUEST_PAGES_MAX } from '../protocol.js';
import { CHANNEL_OPEN, type SourceJob } from './jobs.js';
import { openChannel } from './open-channel.js';
import { SentPages } from './sent-pages.js';

class PageServer {
  readonly #memory;
  readonly #socket;
  readonly #unsent: PageBitmap;
  readonly #link: LinkSwitch;
  readonly #counters: Counters;
  readonly #sent: SentPages;

  readonly #input = new Uint8Array(64 * 1024);
  readonly #inputWords = new Uint32Array(this.#input.buffer);
  #inputBytes = 0;
  readonly #headers = new Uint8Array(REQUEST_PAGES_MAX * PAGE_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#headers.buffer);
  readonly #extents = new Uint32Array(REQUEST_PAGES_MAX * 2);

  constructor(job: SourceJob, report: Report) {
    this.#memory = new native.GuestMemory(null, job.memoryHandle);
    this.#socket = openChannel(job.address);
    report(CHANNEL_OPEN, this.#socket.handle);
    this.#unsent = new PageBitmap(job.pages, job.unsent);
    this.#link = new LinkSwitch(job.link);
    this.#counters = new Counters(job.counters);
    this.#sent = new SentPages(this.#memory);
  }

  serve(): void {
    const set = new Int32Array([this.#socket.fd, POLLIN, 0]);
    while (!this.#link.stopped) {
      if (native.poll(set, 1, LONGEST_WAIT_MS) === 0) continue;
      const got = this.#socket.receive(this.#input, this.#inputBytes, 0, this.#input.length - this.#inputBytes, 0);
      if (got < 0) continue;
      if (got === 0) return this.#closed();
      this.#inputBytes += got;
      this.#answerAll();
      if (this.#link.handedOver) this.#release();
    }
  }

  #release(): void {
    this.#sent.release();
    this.#counters.set('released', this.#sent.released);
  }

  #closed(): void {
    if (!this.#link.stopped) throw new PostcopyError('LINK_LOST', 'the destination closed the urgent channel');
  }

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
      this.#sent.acknowledge(getCount(this.#inputWords, word + 2));
      this.#send(word + REQUEST_HEADER_BYTES / 4, count);
      at += bytes;
    }
    this.#input.copyWithin(0, at, this.#inputBytes);
    this.#inputBytes -= at;
  }

  #send(word: number, count: number): void {
    let pages = 0;
    for (let i = 0; i < count; i++) {
      const page = this.#inputWords[word + i]!;
      if (page >= this.#unsent.pages) {
        throw new PostcopyError('BAD_PEER', `the destination asks for page ${page}; the VM has ${this.#unsent.pages}`);
      }
      if (!this.#unsent.clear(page)) continue;
      this.#headerWords[pages * 2] = TAG_PAGE;
      this.#headerWords[pages * 2 + 1] = page;
      this.#extents[pages * 2] = page;
      this.#extents[pages * 2 + 1] = 1;
      this.#sent.add(page, 1);
      pages++;
    }
    if (pages === 0) return;
    this.#socket.sendPages(this.#memory, this.#headers, PAGE_HEADER_BYTES, this.#extents, pages);
    this.#counters.add('pages', pages);
    this.#counters.add('bytes', pages * (PAGE_HEADER_BYTES + PAGE_SIZE));
  }
}

servePageJob<SourceJob>((job, report) => {
  native.setThreadNice(FAULT_NICE);
  new PageServer(job, report).serve();
});
