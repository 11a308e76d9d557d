/**
 * Talks to postcopy's own guest over its serial port: commands go in, a line of JSON with an `event` comes out for each
 * (native/guest/main.c describes them).
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { PostcopyError } from '../errors.js';

const anyEvent = z.looseObject({ event: z.string() });
export type GuestEvent = z.infer<typeof anyEvent>;

const number = z.number();
const guestReport = z.looseObject({
  us: number,
  accesses: number,
  bad: number,
  stalls: number,
  longest_us: number,
  stalled_us: number,
});
export type GuestReport = z.infer<typeof guestReport>;
const guestVerdict = z.looseObject({ pages: number, bad: number, outside: number, outside_bad: number });
export type GuestVerdict = z.infer<typeof guestVerdict>;

/** Events that mean that something is wrong in the guest. */
const TROUBLE = new Set(['bad', 'exception', 'error']);

/** A guest that waits for pages answers late, one in an emulated host later still. */
const ANSWER_TIMEOUT_MS = 60_000;

export class GuestConsole {
  readonly #stream: Duplex;
  readonly trouble: GuestEvent[] = [];
  #text = '';
  #waiting: ((event: GuestEvent) => void)[] = [];
  #echoes = 0;

  /** `patienceMs`: how long an answer may take. */
  constructor(
    stream: Duplex,
    readonly patienceMs = ANSWER_TIMEOUT_MS,
  ) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk.toString('latin1')));
    stream.on('error', () => {}); // the VM has gone; who waits for an answer is told by the time limit
  }

  /** Waits until the guest answers commands; drops what it said before. */
  async synchronize(): Promise<void> {
    const token = `sync-${process.pid}-${++this.#echoes}`;
    const deadline = performance.now() + this.patienceMs;
    // Said again and again, because a guest that still boots does not listen.
    for (;;) {
      const heard = this.#next((event) => event.event === 'echo' && event['text'] === token, 500);
      this.#stream.write(`echo ${token}\n`);
      if ((await heard) !== undefined) break;
      if (performance.now() > deadline)
        throw new PostcopyError('GUEST_FAILED', 'the guest does not answer on its console');
    }
    this.trouble.length = 0;
  }

  /** Sends a command and waits for its event; throws GUEST_FAILED if the guest reports trouble instead. */
  async command(text: string, event: string): Promise<GuestEvent> {
    const answer = this.#next((heard) => heard.event === event || TROUBLE.has(heard.event), this.patienceMs);
    this.#stream.write(`${text}\n`);
    const heard = await answer;
    if (heard === undefined) throw new PostcopyError('GUEST_FAILED', `the guest did not answer '${text}'`);
    if (heard.event !== event) throw new PostcopyError('GUEST_FAILED', `the guest says ${JSON.stringify(heard)}`);
    return heard;
  }

  async report(): Promise<GuestReport> {
    return guestReport.parse(await this.command('report', 'report'));
  }

  /** What it was when the guest was told to `mark` it. */
  async reportMarked(): Promise<GuestReport> {
    return guestReport.parse(await this.command('report marked=1', 'report'));
  }

  /** `outside`: pages never written that are checked to read zero. */
  async verify(outside: number): Promise<GuestVerdict> {
    return guestVerdict.parse(await this.command(`verify outside=${outside}`, 'verified'));
  }

  /** Sends a command that ends the guest. */
  send(text: string): void {
    this.#stream.write(`${text}\n`);
  }

  close(): void {
    this.#stream.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop()!;
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    let event: GuestEvent;
    try {
      event = anyEvent.parse(JSON.parse(line));
    } catch {
      return; // the rest of a line whose beginning was before our time
    }
    if (TROUBLE.has(event.event)) this.trouble.push(event);
    for (const waiter of this.#waiting) waiter(event);
  }

  async #next(wanted: (event: GuestEvent) => boolean, timeoutMs: number): Promise<GuestEvent | undefined> {
    const stopped = new AbortController();
    let waiter!: (event: GuestEvent) => void;
    const heard = new Promise<GuestEvent>((resolve) => {
      waiter = (event) => {
        if (wanted(event)) resolve(event);
      };
    });
    this.#waiting.push(waiter);
    const timeout = delay(timeoutMs, undefined, { signal: stopped.signal }).catch(() => undefined);
    const event = await Promise.race([heard, timeout]);
    stopped.abort();
    this.#waiting = this.#waiting.filter((other) => other !== waiter);
    return event;
  }
}
