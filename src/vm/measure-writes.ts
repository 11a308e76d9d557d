/**
 * Tells how many pages a guest writes within spans of several lengths, while it runs. Each page that it writes in one of
 * them costs it a fault in the kernel once, as in the rounds of a migration; it runs as before when this is over.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { whileWanted } from '../basics/while-wanted.js';
import { LogReader } from '../machine/log-reader.js';
import type { Machine } from '../machine/machine.js';
import { PageBitmap } from '../memory/page-bitmap.js';
import { pagesFor } from '../memory/page-size.js';
import { pagesIn } from '../memory/ram-map.js';
import { native } from '../native.js';
import type { WriteMeasure } from './service.js';

/** Of the whole time: what the spans take that follow each other. */
const SPANS = [0.05, 0.1, 0.2, 0.65];

type Measured = Pick<Machine, 'memory' | 'beginDirtyLog' | 'cpus' | 'xsaveBytes'>;

export class MeasureWrites {
  readonly #unwanted = new AbortController();
  #over: Promise<unknown> = Promise.resolve();

  constructor(
    readonly machine: Measured,
    readonly seconds: number,
  ) {}

  /** Rejects with HOST_LACKS if this host cannot tell, and with what end() was called with. */
  run(): Promise<WriteMeasure> {
    const measuring = this.#measure(this.#unwanted.signal);
    this.#over = measuring.catch(() => {});
    return measuring;
  }

  /** Resolves when the guest is not watched any more; never rejects. */
  async end(why: Error): Promise<void> {
    this.#unwanted.abort(why);
    await this.#over;
  }

  async #measure(signal: AbortSignal): Promise<WriteMeasure> {
    const reader = new LogReader(this.machine);
    try {
      return await this.#follow(reader, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      await reader.end();
    }
  }

  async #follow(reader: LogReader, signal: AbortSignal): Promise<WriteMeasure> {
    const log = await reader.begin(signal);
    const { memory, cpus, xsaveBytes } = this.machine;
    const pages = pagesFor(memory.bytes);
    const all = new PageBitmap(pages);
    const startedAt = native.monotonicMicros();
    const written: WriteMeasure['written'] = [];
    let from = startedAt;
    for (const part of SPANS) {
      await delay(part * this.seconds * 1000, undefined, { signal });
      const dirty = await reader.collect(log, signal);
      const now = native.monotonicMicros();
      all.add(dirty);
      written.push({ ms: (now - from) / 1000, pages: pagesIn(dirty) });
      from = now;
    }
    written.push({ ms: (from - startedAt) / 1000, pages: all.count });
    const data = await whileWanted(signal, memory.findDataExtents());
    return { pages, dataPages: pagesIn(data), cpus, xsaveBytes, written };
  }
}
