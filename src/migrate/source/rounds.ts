/**
 * Rounds: pages are copied to the destination while the guest still runs here, first all that hold data, then again and again
 * those that it has written since. next-round.ts says when that ends. Then the guest is stopped, and settle() says which
 * pages the destination has in their last content, and which it lacks.
 *
 * A page of a round is claimed before it is read, and whoever writes to it after that is in the dirty log's next answer: it is
 * copied again. The log is asked when all of a round has arrived, so that no older copy can come behind a newer one on
 * another channel.
 */
import { whileWanted } from '../../basics/while-wanted.js';
import { within } from '../../basics/within.js';
import { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { pagesFor } from '../../memory/page-size.js';
import { pagesIn } from '../../memory/ram-map.js';
import { native } from '../../native.js';
import type { DirtyLog } from '../../machine/dirty-log.js';
import { LogReader } from '../../machine/log-reader.js';
import type { Machine } from '../../machine/machine.js';
import type { RateLimit } from '../flow/rate-limit.js';
import { WriteHistory } from '../prefetch/write-history.js';
import type { RoundFigures } from '../report/send-metrics.js';
import { nextStep, standstillMs, type NextStep, type RoundsGoal } from './next-round.js';
import type { SourcePageChannels } from './page-channels.js';

/** What there is of pages when the guest stands still: [first page, pages] pairs, which do not meet. */
export interface Settled {
  /** The destination has them as they are. */
  held: Uint32Array;
  /** They hold data, and it does not, or has them as they were. */
  lacking: Uint32Array;
}

type Channels = Pick<
  SourcePageChannels,
  'addCopies' | 'copy' | 'stopCopying' | 'takeUncopied' | 'uncopied' | 'pushFirst' | 'sum'
>;

/** Rounds that have taken longer than this leave a guest much to write to its disks when it stops: it is written back before. */
const WRITTEN_BACK_MS = 1000;
const MICROS_PER_MS = 1000;
const NONE = new Uint32Array(0);

export class Rounds implements RoundFigures {
  readonly #pages: number;
  /** Pages of which the destination has a copy, of whatever age. */
  readonly #sent: PageBitmap;
  /** What the guest wrote in each of them. */
  readonly #written: WriteHistory;
  readonly #reader: LogReader;
  readonly #startedAt = native.monotonicMicros();
  #endedAt: number | undefined;
  #collectedAt = 0;
  #count = 0;
  #roundPages = 0;
  #copiedBefore = 0;
  /** Time in which pages were copied; the dirty log has some of the rest. */
  #copyingMicros = 0;
  #dirtyPagesPerSecond = 0;
  /** Pages that are left for behind the hand-over, and what was written in the last round. */
  #rest: { pages: PageBitmap; written: Uint32Array } | undefined;
  #ending: Exclude<NextStep, 'round'> = 'stop-short';

  /** Their time counts from now on. */
  constructor(
    readonly machine: Pick<Machine, 'memory' | 'beginDirtyLog' | 'hostDevices' | 'cpus' | 'xsaveBytes'>,
    readonly channels: Channels,
    readonly goal: RoundsGoal,
    readonly limit: Pick<RateLimit, 'lift' | 'restore'>,
  ) {
    this.#pages = pagesFor(machine.memory.bytes);
    this.#sent = new PageBitmap(this.#pages);
    this.#written = new WriteHistory(this.#pages);
    this.#reader = new LogReader(machine);
  }

  /**
   * Resolves when the guest is to be stopped, and nothing is on its way. Rejects with MIGRATION_FAILED if the guest was too fast
   * and is to stay here for that, with HOST_LACKS if this host cannot tell what it writes, and with what `signal` was aborted
   * with.
   */
  async run(signal: AbortSignal, roundTripMicros: () => number): Promise<void> {
    const log = await this.#reader.begin(signal);
    this.#collectedAt = native.monotonicMicros();
    let added = this.#add(await whileWanted(signal, this.machine.memory.findDataExtents()));
    let wroteBack = false;
    for (;;) {
      const { copied, isOver } = await this.#round(added, signal);
      added = this.#add(await this.#collect(log, signal));
      const left = added.count;
      const elapsedMs = Math.max(this.#elapsedMs, isOver ? 0 : this.goal.timeoutMs);
      const seen = { copied, left, elapsedMs };
      const step = nextStep(this.goal, { ...seen, downtimeMs: this.#downtimeMs(left, roundTripMicros()) });
      if (step === 'round') continue;
      if (step === 'cancel') throw this.#tooFast(left);
      this.#ending = step;
      if (wroteBack || this.#elapsedMs < WRITTEN_BACK_MS) break;
      // The guest goes on writing meanwhile: what that makes of the rest is for another round, if there is time.
      await this.machine.hostDevices.disks.presync(signal);
      wroteBack = true;
      if (this.#elapsedMs >= this.goal.timeoutMs) break;
    }
    await whileWanted(signal, this.channels.stopCopying());
  }

  /**
   * Of a guest that stands still, and whose state is saved. If all of it is to be there before it goes on, what is left is sent
   * now, as fast as that goes: a page that the guest waits for is not held back.
   */
  async settle(signal: AbortSignal): Promise<Settled> {
    const { log } = this.#reader;
    if (log === undefined) throw new PostcopyError('INTERNAL', 'the guest was stopped before its rounds');
    const written = log.collectNow();
    this.channels.addCopies(written);
    const uncopied = this.channels.takeUncopied();
    const data = PageBitmap.of(this.#pages, this.machine.memory.dataExtents(0, this.#pages));
    const held = this.#sent.copy().keep(data).remove(uncopied);
    const rest = data.copy().remove(held);
    const lacking = rest.extents();
    this.#sent.add(lacking);
    this.#endedAt = native.monotonicMicros();
    if (this.#ending !== 'stop-whole' || lacking.length === 0) {
      this.#rest = { pages: rest, written };
      return { held: held.extents(), lacking };
    }
    this.limit.lift();
    try {
      this.channels.addCopies(lacking);
      await whileWanted(signal, this.channels.copy());
      await whileWanted(signal, this.channels.stopCopying());
    } finally {
      this.limit.restore(native.monotonicMicros());
    }
    return { held: data.extents(), lacking: NONE };
  }

  /** Behind the hand-over, of what is left that goes first which the guest has written in most rounds, and last. */
  pushWrittenFirst(): void {
    if (this.#rest === undefined) return;
    this.#written.add(this.#rest.written);
    this.channels.pushFirst(this.#written, this.#rest.pages);
  }

  /** What the guest writes need not be told any more. It runs as before, if it does; never rejects. */
  end(): Promise<void> {
    return this.#reader.end();
  }

  get shown(): RoundFigures['shown'] {
    const left = this.#roundPages - (this.#copied - this.#copiedBefore);
    return { round: this.#count, pagesLeft: Math.max(0, left), dirtyPagesPerSecond: this.#dirtyPagesPerSecond };
  }

  get totals(): RoundFigures['totals'] {
    const micros = (this.#endedAt ?? native.monotonicMicros()) - this.#startedAt;
    return { count: this.#count, elapsedMs: micros / MICROS_PER_MS, distinctPages: this.#sent.count };
  }

  get #elapsedMs(): number {
    return (native.monotonicMicros() - this.#startedAt) / MICROS_PER_MS;
  }

  get #copied(): number {
    return this.channels.sum('copies') + this.channels.sum('zeroCopies');
  }

  /** Copies of these pages are to be sent, too; returns all that are. */
  #add(extents: Uint32Array): PageBitmap {
    this.channels.addCopies(extents);
    return this.channels.uncopied();
  }

  /** Copies what was added, until all of it has arrived or the time is up, which a timer may say a moment before a clock does. */
  async #round(added: PageBitmap, signal: AbortSignal): Promise<{ copied: number; isOver: boolean }> {
    const startedAt = native.monotonicMicros();
    this.#count++;
    this.#roundPages = added.count;
    this.#copiedBefore = this.#copied;
    const arrived = this.channels.copy().then(() => true);
    const leftMs = Math.max(0, this.goal.timeoutMs - this.#elapsedMs);
    const isOver = await whileWanted(
      signal,
      within(arrived, leftMs, () => false),
    );
    this.#sent.unite(added);
    if (!isOver) {
      await whileWanted(signal, this.channels.stopCopying());
      this.#sent.remove(this.channels.uncopied());
    }
    this.#copyingMicros += native.monotonicMicros() - startedAt;
    return { copied: this.#copied - this.#copiedBefore, isOver };
  }

  async #collect(log: DirtyLog, signal: AbortSignal): Promise<Uint32Array> {
    const dirty = await this.#reader.collect(log, signal);
    const now = native.monotonicMicros();
    this.#written.add(dirty);
    this.#dirtyPagesPerSecond = Math.round((pagesIn(dirty) / Math.max(1, now - this.#collectedAt)) * 1e6);
    this.#collectedAt = now;
    return dirty;
  }

  /** How long the guest would stand still if these pages were sent then. */
  #downtimeMs(pages: number, roundTripMicros: number): number {
    const copies = this.channels.sum('copies') || this.channels.sum('zeroCopies');
    const pageMicros = pages + copies === 0 ? 0 : this.#copyingMicros / copies;
    const { cpus, xsaveBytes } = this.machine;
    return standstillMs(pages, { cpus, xsaveBytes, pageMicros, roundTripMicros });
  }

  #tooFast(left: number): PostcopyError {
    const { downtimeMs, timeoutMs } = this.goal;
    return new PostcopyError(
      'MIGRATION_FAILED',
      `after ${this.#count} rounds in ${timeoutMs / MICROS_PER_MS} s, ${left} pages were still to be sent, too many for a downtime of ` +
        `${downtimeMs} ms: the guest writes ${this.#dirtyPagesPerSecond} pages a second. Allow a longer one, give it ` +
        'more time, or move it in mode hybrid or post-copy',
    );
  }
}
