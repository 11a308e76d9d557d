/**
 * Writes a trace of what the destination asks for (`migrate --trace`) while the VM moves. Only the main thread has to do with
 * it, ten times a second, and waits for nothing: what a slow file does not take in time, or a full one at all, is left out,
 * and what fails is a warning.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { harmlessly } from '../../basics/harmless.js';
import { within } from '../../basics/within.js';
import type { FaultTrail } from '../prefetch/fault-trail.js';
import { encodeHead, RECORD_BYTES_MAX, RecordWriter, type TraceHead } from '../prefetch/trace.js';

/** Of which nothing is known at the source. */
const VCPU = 0;
/** Bytes that wait to be written, and of a file, at most. */
const WAITING_MAX = 4 * 1024 * 1024;
const FILE_MAX = 512 * 1024 * 1024;
/** Who may have touched what is nobody else's business. A pipe that nobody reads must not hold us. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK;
const MODE = 0o600;
/** Whoever waits for the migration waits for the file no longer. */
const END_MS = 1000;

export type RequestSource = Pick<FaultTrail, 'follow'>;

export class RequestTrace {
  readonly #writer = new RecordWriter();
  readonly #file: Promise<FileHandle>;
  /** All that was begun is written, or has failed. */
  #written: Promise<unknown>;
  #waiting = 0;
  #bytes = 0;
  #failed = false;
  #first: number | undefined;
  /** Of the last request; and how long after the first it came, as clocks of 32 bits wrap. */
  #last = 0;
  #time = 0;
  /** Requests that are not in the file. */
  left = 0;

  constructor(
    path: string,
    readonly requests: RequestSource,
    head: Promise<TraceHead>,
  ) {
    this.#file = open(path, FLAGS, MODE);
    this.#file.catch(() => {}); // told by who writes
    this.#written = head.then((it) => this.#write(encodeHead(it)));
    this.#warnOfFailure();
  }

  /** Notes what was asked for since the last time. */
  note(): void {
    const pages: number[] = [];
    const times: number[] = [];
    this.left += this.requests.follow({
      faulted: (page, at) => {
        pages.push(page);
        times.push(this.#sinceFirst(at));
      },
    });
    const most = pages.length * RECORD_BYTES_MAX;
    if (pages.length === 0) return;
    if (this.#failed || this.#waiting + most > WAITING_MAX || this.#bytes + most > FILE_MAX) {
      this.left += pages.length;
      return;
    }
    const records = new Uint8Array(most);
    let end = 0;
    pages.forEach((page, i) => (end = this.#writer.write(records, end, times[i] ?? 0, VCPU, page)));
    this.#append(records.subarray(0, end));
  }

  /** Notes the rest, and closes the file when all is in it. Never rejects, and waits only so long for a slow file. */
  async end(): Promise<void> {
    harmlessly('writing a trace', () => this.note());
    const closed = this.#written.catch(() => {}).then(async () => (await this.#file).close());
    await within(
      closed.catch(() => {}),
      END_MS,
      () => {},
    );
  }

  #sinceFirst(at: number): number {
    if (this.#first === undefined) this.#first = this.#last = at;
    this.#time += (at - this.#last) >>> 0;
    this.#last = at;
    return this.#time;
  }

  #append(bytes: Uint8Array): void {
    this.#waiting += bytes.length;
    this.#bytes += bytes.length;
    this.#written = this.#written.then(() => this.#write(bytes)).finally(() => (this.#waiting -= bytes.length));
    this.#warnOfFailure();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const file = await this.#file;
    await file.writeFile(bytes);
  }

  #warnOfFailure(): void {
    const written = this.#written;
    harmlessly('writing a trace', async () => {
      try {
        await written;
      } catch (error) {
        this.#failed = true;
        throw error;
      }
    });
  }
}
