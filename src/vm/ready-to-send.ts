import type { PageWorker } from '../threads/page-worker.js';
import { rehearseCodec } from '../migrate/wire/rehearse-codec.js';
import type { SourceJob } from '../migrate/source/job.js';
import { startPageWorker } from '../migrate/source/page-channels.js';

/** What can be made ready for a migration before anybody asks for one. */
export class ReadyToSend {
  #pageWorker: Promise<PageWorker<SourceJob>> | undefined;

  prepare(): Promise<PageWorker<SourceJob>> {
    rehearseCodec();
    if (this.#pageWorker === undefined) {
      this.#pageWorker = startPageWorker();
      this.#pageWorker.catch(() => {}); // told to whoever takes it
    }
    return this.#pageWorker;
  }

  /** A page worker of the source, the caller's from now on. */
  takePageWorker(): Promise<PageWorker<SourceJob>> {
    const worker = this.prepare();
    this.#pageWorker = undefined;
    return worker;
  }

  async end(): Promise<void> {
    await (await this.#pageWorker?.catch(() => undefined))?.end();
  }
}
