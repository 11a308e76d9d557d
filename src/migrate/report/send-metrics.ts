/** What the source knows of a migration in figures: progress while it runs, the summary at its end. */
import type { MachineName } from '../../configure/machine-setting.js';
import type { ChannelTrial, Finding, MigrationPhase, MigrationProgress, MigrationSummary } from './summary.js';
import { describeError, factsOf, PostcopyError } from '../../errors.js';
import { bytesOfPages } from '../../memory/page-size.js';
import { formatSize } from '../../basics/size.js';
import { linkText } from './link-text.js';
import { harmlessly } from '../../basics/harmless.js';
import { native } from '../../native.js';
import { MemoryMeter } from './memory-meter.js';
import type { Body, Complete } from '../wire/message.js';
import type { MigrationMode } from '../options.js';
import { DowntimeLaps } from './downtime.js';
import type { CounterName } from './counters.js';

const NO_WAITS = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 };
const SAMPLE_INTERVAL_MS = 50;

/** What the page channels have counted, all of them together or those of one kind. */
export interface ChannelSums {
  sum(counter: CounterName, kind?: 'urgent' | 'bulk'): number;
}

/** Bytes per second that may be sent at most; undefined: any. */
interface BandwidthLimit {
  readonly bytesPerSecond: number | undefined;
}

export interface SendMetricsOptions {
  machine: MachineName;
  mode: MigrationMode;
  totalPages: number;
  channels: ChannelSums;
  limit: BandwidthLimit;
}

/** Of rounds before the hand-over (source/rounds.ts). */
export interface RoundFigures {
  readonly shown: { round: number; pagesLeft: number; dirtyPagesPerSecond: number };
  /** distinctPages: those of which something was sent, or is to be. */
  readonly totals: { count: number; elapsedMs: number; distinctPages: number };
}

/** Of watching where the guest writes (source/write-watch.ts). */
export interface WatchFigures {
  /** Pages that it wrote, and in which time. */
  readonly found: { ms: number; pages: number } | undefined;
}

/** How a migration ended; complete: what the destination said at the end, if it could. */
export type Ending =
  | { status: 'completed'; complete: Complete | undefined }
  /** Nothing stands against the move. */
  | { status: 'dry-run' }
  | { status: 'failed' | 'link-lost'; reason: Error };

export class SendMetrics {
  readonly #machine: MachineName;
  readonly #mode: MigrationMode;
  readonly #totalPages: number;
  readonly #channels: ChannelSums;
  readonly #limit: BandwidthLimit;
  readonly #startedAt = native.monotonicMicros();
  /** Once guest RAM is counted: before, it cannot be told from other memory. */
  #meter: MemoryMeter | undefined;
  readonly #sampler: NodeJS.Timeout;
  #destination: Body<'progress'> = { pagesInstalled: 0, faultsWaiting: 0 };
  #rounds: RoundFigures | undefined;
  #watch: WatchFigures | undefined;
  #dataPages = 0;
  /** Of these, those that the destination had when the guest stopped. */
  #heldPages = 0;
  #trials: readonly ChannelTrial[] = [];
  #compared: readonly Finding[] = [];

  #inFlightPages = 0;
  #control: { readonly bytesSent: number } = { bytesSent: 0 };
  /** Of control channels that have broken. */
  #bytesOfBefore = 0;
  #hasStopped = false;
  #downtime = new DowntimeLaps();
  #lastBytes = 0;
  #lastProgressAt = this.#startedAt;
  #endedAt: number | undefined;

  constructor({ machine, mode, totalPages, channels, limit }: SendMetricsOptions) {
    this.#machine = machine;
    this.#mode = mode;
    this.#totalPages = totalPages;
    this.#channels = channels;
    this.#limit = limit;
    this.#sampler = setInterval(() => harmlessly('figures of a migration', () => this.#sample()), SAMPLE_INTERVAL_MS);
    this.#sample();
  }

  /** From now on the bytes of this control channel count too. */
  connected(control: { readonly bytesSent: number }): void {
    this.#bytesOfBefore += this.#control.bytesSent;
    this.#control = control;
  }

  /** Pages that hold data while the guest still runs. */
  found(dataPages: number): void {
    if (!this.#hasStopped) this.#counted(dataPages);
  }

  /** The guest is watched before it stops. */
  watching(watch: WatchFigures): void {
    this.#watch = watch;
  }

  /** Pages are copied before the guest stops. */
  copying(rounds: RoundFigures): void {
    this.#rounds = rounds;
  }

  /** Pages that hold data, once the guest has stopped, and those of them that the destination has already. */
  stopped(dataPages: number, heldPages = 0): void {
    this.#hasStopped = true;
    this.#heldPages = heldPages;
    this.#counted(dataPages);
  }

  #counted(dataPages: number): void {
    this.#dataPages = dataPages;
    this.#meter ??= new MemoryMeter(() => bytesOfPages(this.#dataPages - this.#released()));
  }

  /** What the page channels showed when they were tried; none if they were not. */
  tried(trials: readonly ChannelTrial[]): void {
    this.#trials = trials;
  }

  /** What the destination has compared. */
  compared(findings: readonly Finding[]): void {
    this.#compared = findings;
  }

  #findings(): Finding[] {
    const { length } = this.#trials;
    const link = `${length} connections carried frames of all sizes, both ways: ${linkText(linkOf(this.#trials))}`;
    const toMove = `${this.#dataPages} of ${this.#totalPages} pages of RAM hold data (${formatSize(bytesOfPages(this.#dataPages))})`;
    return [
      ...this.#compared,
      ...(length === 0 ? [] : [{ what: 'page channels', result: link }]),
      { what: 'to be moved', result: toMove },
    ];
  }

  downtime(laps: DowntimeLaps): void {
    this.#downtime = laps;
  }

  destinationReports(report: Body<'progress'>): void {
    this.#destination = report;
  }

  #sample(): void {
    this.#meter?.sample();
    this.#inFlightPages = Math.max(this.#inFlightPages, this.#heldPages + this.#sent() - this.#released());
  }

  /** Behind the hand-over. */
  #sent(): number {
    return this.#channels.sum('pages') + this.#channels.sum('zeroPages');
  }

  #copied(): number {
    return this.#channels.sum('copies') + this.#channels.sum('zeroCopies');
  }

  #resent(): number {
    const distinct = this.#rounds?.totals.distinctPages ?? this.#dataPages;
    return Math.max(0, this.#copied() + this.#sent() - distinct);
  }

  #pagesLeft(phase: MigrationPhase): number {
    if (phase === 'copying' && this.#rounds !== undefined) return this.#rounds.shown.pagesLeft;
    if (!this.#hasStopped) return this.#dataPages;
    return Math.max(0, this.#dataPages - Math.max(this.#heldPages, this.#destination.pagesInstalled));
  }

  #released(): number {
    return this.#channels.sum('released');
  }

  progress(phase: MigrationPhase): MigrationProgress {
    const now = native.monotonicMicros();
    const bytes = this.#wireBytes();
    const rate = ((bytes - this.#lastBytes) / Math.max(1, now - this.#lastProgressAt)) * 1e6;
    this.#lastBytes = bytes;
    this.#lastProgressAt = now;
    return {
      phase,
      pagesLeft: this.#pagesLeft(phase),
      pagesTotal: this.#totalPages,
      bytesPerSecond: Math.round(rate),
      faultsWaiting: this.#destination.faultsWaiting,
      elapsedMs: (now - this.#startedAt) / 1000,
      ...this.#bandwidth(),
      ...(phase === 'copying' ? { round: this.#roundShown() } : {}),
      ...(this.#trials.length === 0 ? {} : { link: linkOf(this.#trials) }),
    };
  }

  #bandwidth(): Pick<MigrationProgress, 'bandwidth'> {
    const { bytesPerSecond } = this.#limit;
    return bytesPerSecond === undefined ? {} : { bandwidth: bytesPerSecond };
  }

  #roundShown(): MigrationProgress['round'] {
    if (this.#rounds === undefined) return undefined;
    const { round, dirtyPagesPerSecond } = this.#rounds.shown;
    return { number: round, dirtyPagesPerSecond };
  }

  end(): void {
    this.#endedAt = native.monotonicMicros();
    clearInterval(this.#sampler);
  }

  summary(ending: Ending): MigrationSummary {
    const complete = ending.status === 'completed' ? ending.complete : undefined;
    return {
      status: ending.status,
      mode: this.#mode,
      machine: this.#machine,
      ...('reason' in ending ? { error: errorOf(ending.status, ending.reason) } : {}),
      ...(ending.status === 'dry-run' ? { findings: this.#findings() } : {}),
      totalMs: ((this.#endedAt ?? native.monotonicMicros()) - this.#startedAt) / 1000,
      downtimeMs: this.#downtime.totalMs,
      downtimeParts: this.#downtime.milliseconds,
      ...(this.#trials.length === 0 ? {} : { channels: [...this.#trials] }),
      ...this.#bandwidth(),
      wireBytes: this.#wireBytes(),
      pages: {
        total: this.#totalPages,
        sent: this.#channels.sum('copies') + this.#channels.sum('pages'),
        demanded: this.#channels.sum('pages', 'urgent'),
        pushed: this.#channels.sum('pages', 'bulk'),
        copied: this.#channels.sum('copies'),
        absent: this.#hasStopped ? this.#totalPages - this.#dataPages : 0,
        zero: this.#channels.sum('zeroCopies') + this.#channels.sum('zeroPages'),
        resent: this.#resent(),
      },
      ...this.#roundsSummary(),
      ...(this.#watch?.found === undefined ? {} : { watched: this.#watch.found }),
      faultWaitUs: complete?.faultWaitUs ?? NO_WAITS,
      vcpuBlockedMs: complete?.vcpuBlockedMs ?? 0,
      memory: this.#memory(complete),
    };
  }

  #roundsSummary(): Pick<MigrationSummary, 'rounds'> {
    if (this.#rounds === undefined) return {};
    const { count, elapsedMs } = this.#rounds.totals;
    return { rounds: { count, ms: elapsedMs } };
  }

  /**
   * Both ends at one time hold every page once, those in flight twice, and each its overhead; samples of two hosts could
   * not be added, because guest RAM moves faster than clocks agree.
   */
  #memory(complete: Complete | undefined): MigrationSummary['memory'] {
    const overheads = (this.#meter?.overhead ?? 0) + (complete?.overheadBytes ?? 0);
    return {
      sourcePeakBytes: this.#meter?.peak ?? 0,
      destinationPeakBytes: complete?.peakBytes ?? 0,
      sumPeakBytes: bytesOfPages(this.#dataPages + this.#inFlightPages) + overheads,
    };
  }

  #wireBytes(): number {
    return this.#channels.sum('bytes') + this.#bytesOfBefore + this.#control.bytesSent;
  }
}

function linkOf(trials: readonly ChannelTrial[]): NonNullable<MigrationProgress['link']> {
  return {
    roundTripUs: Math.min(...trials.map(({ roundTripUs }) => roundTripUs)),
    // One after the other they would show more than the link has.
    bytesPerSecond: trials.filter(({ kind }) => kind === 'bulk').reduce((sum, it) => sum + it.bytesPerSecond, 0),
  };
}

function errorOf(status: MigrationSummary['status'], reason: Error): NonNullable<MigrationSummary['error']> {
  const thrown = reason instanceof PostcopyError ? reason.code : 'MIGRATION_FAILED';
  // LINK_LOST tells whoever reads only the code that the VM is at the destination.
  const code = status === 'failed' && thrown === 'LINK_LOST' ? 'MIGRATION_FAILED' : thrown;
  const facts = factsOf(reason);
  return { code, message: describeError(reason), ...(facts.length === 0 ? {} : { facts }) };
}
