/**
 * A machine's dirty log for as long as somebody wants its answers. Whoever has given up does not wait for the answer that is
 * under way; the log is ended once it has come.
 */
import { harmlessly } from '../basics/harmless.js';
import { whileWanted } from '../basics/while-wanted.js';
import type { DirtyLog } from './dirty-log.js';
import type { Machine } from './machine.js';

export class LogReader {
  #log: DirtyLog | undefined;
  /** What the log is being asked. */
  #asked: Promise<unknown> = Promise.resolve();

  constructor(readonly machine: Pick<Machine, 'beginDirtyLog'>) {}

  /** Rejects with HOST_LACKS if this host cannot tell, and, as collect(), with what `signal` was aborted with. */
  begin(signal: AbortSignal): Promise<DirtyLog> {
    return this.#ask(
      signal,
      this.machine.beginDirtyLog().then((begun) => (this.#log = begun)),
    );
  }

  /** What the log tells; behind begin(). */
  collect(log: DirtyLog, signal: AbortSignal): Promise<Uint32Array> {
    return this.#ask(signal, log.collect());
  }

  /** Undefined before begin(), and behind end(). */
  get log(): DirtyLog | undefined {
    return this.#log;
  }

  /** What the guest writes need not be told any more. It runs as before, if it does; never rejects. */
  async end(): Promise<void> {
    await this.#asked.catch(() => {});
    const log = this.#log;
    this.#log = undefined;
    harmlessly('ending the log of what a guest writes', () => log?.end());
  }

  async #ask<Answer>(signal: AbortSignal, answer: Promise<Answer>): Promise<Answer> {
    this.#asked = answer;
    return whileWanted(signal, answer);
  }
}
