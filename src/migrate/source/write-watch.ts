/**
 * Watches which pages a guest writes before it is stopped (`migrate --watch`), so that those that it works on go first. It
 * only advises: on a host that cannot tell, the guest moves without.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { harmlessly } from '../../basics/harmless.js';
import { pagesFor } from '../../memory/page-size.js';
import { LogReader } from '../../machine/log-reader.js';
import type { Machine } from '../../machine/machine.js';
import { native } from '../../native.js';
import type { MigrateOptions } from '../options.js';
import { WriteHistory } from '../prefetch/write-history.js';

/** Spans of time that are told apart. Where the log takes longer to answer, there are fewer. */
const SPANS = 8;
/** With policy `recent`, if nothing else is said. */
const USUAL_S = 2;

/** Seconds; undefined if nobody is to watch. In rounds, the guest is watched anyway. */
export function watchOf({ mode, prefetch, watch }: MigrateOptions): number | undefined {
  if (mode !== 'post-copy') return undefined;
  return watch ?? (prefetch === 'recent' ? USUAL_S : undefined);
}

export class WriteWatch {
  #over: Promise<unknown> = Promise.resolve();
  #isOn = false;
  /** What came of it, if the host could tell. */
  found: { ms: number; pages: number } | undefined;

  constructor(
    readonly machine: Pick<Machine, 'memory' | 'beginDirtyLog'>,
    readonly seconds: number,
  ) {}

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Undefined if the host cannot tell. Rejects with what `signal` was aborted with. */
  async run(signal: AbortSignal): Promise<WriteHistory | undefined> {
    const watching = this.#watch(signal);
    this.#over = watching.catch(() => {});
    try {
      return await watching;
    } catch (error) {
      signal.throwIfAborted();
      harmlessly('watching what a guest writes', () => Promise.reject(error as Error));
      return undefined;
    }
  }

  /** Resolves when the guest is not watched any more, which an abort brings about. */
  async end(): Promise<void> {
    await this.#over;
  }

  async #watch(signal: AbortSignal): Promise<WriteHistory> {
    this.#isOn = true;
    const reader = new LogReader(this.machine);
    try {
      return await this.#follow(reader, signal);
    } finally {
      await reader.end();
      this.#isOn = false;
    }
  }

  async #follow(reader: LogReader, signal: AbortSignal): Promise<WriteHistory> {
    const log = await reader.begin(signal);
    const history = new WriteHistory(pagesFor(this.machine.memory.bytes));
    const ms = this.seconds * 1000;
    const startedAt = native.monotonicMicros();
    const elapsedMs = () => (native.monotonicMicros() - startedAt) / 1000;
    for (let left = ms; left > 0; left = ms - elapsedMs()) {
      await delay(Math.min(left, ms / SPANS), undefined, { signal });
      history.add(await reader.collect(log, signal));
    }
    this.found = { ms: elapsedMs(), pages: history.count };
    return history;
  }
}
