import type { PageWorker } from '../threads/page-worker.js';
import { rehearseCodec } from '../migrate/wire/rehearse-codec.js';
import type { SourceJob } from '../migrate/source/job.js';
import { startPageWorker } from '../migrate/source/page-channels.js';

/** What can be made ready for a migration before anybody asks for one. */
export class ReadyToSend {
  #pageWorker: Promise<PageWorker<SourceJob>> | undefined;

  prepare(): void {
    rehearseCodec();
    this.#pageWorker ??= startPageWorker();
    this.#pageWorker.catch(() => {}); // told when it is taken
  }

  /** A page worker of the source, the caller's from now on. */
  takePageWorker(): Promise<PageWorker<SourceJob>> {
    this.prepare();
    const worker = this.#pageWorker!;
    this.#pageWorker = undefined;
    return worker;
  }

  async end(): Promise<void> {
    await (await this.#pageWorker?.catch(() => undefined))?.end();
  }
}
