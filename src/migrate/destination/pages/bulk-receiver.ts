/** A bulk worker of the destination: receives extents that the source pushes, installs each whole, acknowledges it. */
import { PostcopyError } from '../../../errors.js';
import { PAGE_SIZE } from '../../../memory/page-size.js';
import { native, POLLIN } from '../../../native.js';
import { LinkSwitch } from '../../link-switch.js';
import { EXTENT_HEADER_BYTES, putCount, RECEIVED_BYTES, TAG_END, TAG_EXTENT, TAG_RECEIVED } from '../../page-frames.js';
import { BULK_NICE, LONGEST_WAIT_MS, servePageJob, type Report } from '../../page-worker.js';
import { EXTENT_PAGES_MAX, LINK_TIMEOUT_MS } from '../../protocol.js';
import type { DestinationJob } from './jobs.js';
import { PageInstaller } from './page-installer.js';

class BulkReceiver {
  readonly #socket;
  readonly #installer: PageInstaller;
  readonly #link: LinkSwitch;
  readonly #header = new Uint8Array(EXTENT_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#header.buffer);
  readonly #staging = new Uint8Array(EXTENT_PAGES_MAX * PAGE_SIZE);
  readonly #received = new Uint8Array(RECEIVED_BYTES);
  readonly #receivedWords = new Uint32Array(this.#received.buffer);

  constructor(job: DestinationJob, report: Report) {
    this.#socket = new native.Socket(null, job.socketHandle);
    this.#installer = new PageInstaller(job, report);
    this.#link = new LinkSwitch(job.link);
    this.#receivedWords[0] = TAG_RECEIVED;
  }

  run(): void {
    const set = new Int32Array([this.#socket.fd, POLLIN, 0]);
    while (!this.#link.stopped) {
      if (native.poll(set, 1, LONGEST_WAIT_MS) === 0) continue;
      if (!this.#receive(this.#header, EXTENT_HEADER_BYTES)) return;
      const tag = this.#headerWords[0]!;
      if (tag === TAG_END) continue; // the source closes when we are done
      if (tag !== TAG_EXTENT)
        throw new PostcopyError('BAD_PEER', 'the source sent something else than an extent of pages');
      if (!this.#extent(this.#headerWords[1]!, this.#headerWords[2]!)) return;
    }
  }

  #extent(first: number, count: number): boolean {
    if (count === 0 || count > EXTENT_PAGES_MAX) {
      throw new PostcopyError('BAD_PEER', `the source sent an extent of ${count} pages; ${EXTENT_PAGES_MAX} at most`);
    }
    if (!this.#receive(this.#staging, count * PAGE_SIZE)) return false;
    this.#installer.install(first, count, this.#staging, 0);
    putCount(this.#receivedWords, 2, this.#installer.installed);
    this.#socket.send(this.#received, 0, RECEIVED_BYTES);
    return true;
  }

  /** False if the channel was closed, by us; by the source, it is a lost link. */
  #receive(into: Uint8Array, bytes: number): boolean {
    if (this.#socket.receive(into, 0, bytes, bytes, LINK_TIMEOUT_MS) === bytes) return true;
    if (this.#link.stopped) return false;
    throw new PostcopyError('LINK_LOST', 'the source closed a bulk channel');
  }
}

servePageJob<DestinationJob>((job, report) => {
  native.setThreadNice(BULK_NICE);
  new BulkReceiver(job, report).run();
});
