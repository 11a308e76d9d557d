/** What the source knows of a migration in figures: progress while it runs, the summary at its end. */
import type { MachineName } from '../../configure/machine-setting.js';
import type { MigrationPhase, MigrationProgress, MigrationSummary } from './summary.js';
import { describeError, factsOf, PostcopyError } from '../../errors.js';
import { bytesOfPages } from '../../memory/page-size.js';
import { harmlessly } from '../../basics/harmless.js';
import { native } from '../../native.js';
import { MemoryMeter } from './memory-meter.js';
import type { Body, Complete } from '../wire/message.js';
import { DowntimeLaps } from './downtime.js';
import type { CounterName } from './counters.js';

const NO_WAITS = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 };
const SAMPLE_INTERVAL_MS = 50;

/** What the page channels have counted, all of them together or those of one kind. */
interface ChannelSums {
  sum(counter: CounterName, kind?: 'urgent' | 'bulk'): number;
}

export class SendMetrics {
  readonly #startedAt = native.monotonicMicros();
  readonly #meter: MemoryMeter;
  readonly #sampler: NodeJS.Timeout;
  #destination: Body<'progress'> = { pagesInstalled: 0, faultsWaiting: 0 };
  #dataPages: number;
  #inFlightPages = 0;
  #hasStopped = false;
  #downtime = new DowntimeLaps();
  #lastBytes = 0;
  #lastProgressAt = this.#startedAt;
  #endedAt: number | undefined;

  /** `dataPages`: of guest RAM that hold data at the beginning. */
  constructor(
    readonly machine: MachineName,
    readonly totalPages: number,
    dataPages: number,
    readonly channels: () => ChannelSums | undefined,
    readonly controlBytes: () => number,
  ) {
    this.#dataPages = dataPages;
    this.#meter = new MemoryMeter(() => bytesOfPages(this.#dataPages - this.#released()));
    this.#sampler = setInterval(() => harmlessly('figures of a migration', () => this.#sample()), SAMPLE_INTERVAL_MS);
    this.#sample();
  }

  /** Pages that hold data, once the guest has stopped. */
  stopped(dataPages: number): void {
    this.#dataPages = dataPages;
    this.#hasStopped = true;
  }

  downtime(laps: DowntimeLaps): void {
    this.#downtime = laps;
  }

  destinationReports(report: Body<'progress'>): void {
    this.#destination = report;
  }

  #sample(): void {
    this.#meter.sample();
    this.#inFlightPages = Math.max(this.#inFlightPages, this.#sent() - this.#released());
  }

  #sent(): number {
    const channels = this.channels();
    return (channels?.sum('pages') ?? 0) + (channels?.sum('zeroPages') ?? 0);
  }

  #released(): number {
    return this.channels()?.sum('released') ?? 0;
  }

  progress(phase: MigrationPhase): MigrationProgress {
    const now = native.monotonicMicros();
    const bytes = this.#wireBytes();
    const rate = ((bytes - this.#lastBytes) / Math.max(1, now - this.#lastProgressAt)) * 1e6;
    this.#lastBytes = bytes;
    this.#lastProgressAt = now;
    return {
      phase,
      pagesLeft: this.#hasStopped ? Math.max(0, this.#dataPages - this.#destination.pagesInstalled) : this.#dataPages,
      pagesTotal: this.totalPages,
      bytesPerSecond: Math.round(rate),
      faultsWaiting: this.#destination.faultsWaiting,
      elapsedMs: (now - this.#startedAt) / 1000,
    };
  }

  end(): void {
    this.#endedAt = native.monotonicMicros();
    clearInterval(this.#sampler);
  }

  summary(status: MigrationSummary['status'], reason?: Error, complete?: Complete): MigrationSummary {
    const channels = this.channels();
    return {
      status,
      mode: 'post-copy',
      machine: this.machine,
      ...(reason === undefined ? {} : { error: errorOf(reason) }),
      totalMs: ((this.#endedAt ?? native.monotonicMicros()) - this.#startedAt) / 1000,
      downtimeMs: this.#downtime.totalMs,
      downtimeParts: this.#downtime.milliseconds,
      wireBytes: this.#wireBytes(),
      pages: {
        total: this.totalPages,
        sent: channels?.sum('pages') ?? 0,
        demanded: channels?.sum('pages', 'urgent') ?? 0,
        pushed: channels?.sum('pages', 'bulk') ?? 0,
        absent: this.#hasStopped ? this.totalPages - this.#dataPages : 0,
        zero: channels?.sum('zeroPages') ?? 0,
        resent: Math.max(0, this.#sent() - this.#dataPages),
      },
      faultWaitUs: complete?.faultWaitUs ?? NO_WAITS,
      vcpuBlockedMs: complete?.vcpuBlockedMs ?? 0,
      memory: this.#memory(complete),
    };
  }

  /**
   * Both ends at one time hold every page once, those in flight twice, and each its overhead; samples of two hosts could
   * not be added, because guest RAM moves faster than clocks agree.
   */
  #memory(complete?: Complete): MigrationSummary['memory'] {
    const overheads = this.#meter.overhead + (complete?.overheadBytes ?? 0);
    return {
      sourcePeakBytes: this.#meter.peak,
      destinationPeakBytes: complete?.peakBytes ?? 0,
      sumPeakBytes: bytesOfPages(this.#dataPages + this.#inFlightPages) + overheads,
    };
  }

  #wireBytes(): number {
    return (this.channels()?.sum('bytes') ?? 0) + this.controlBytes();
  }
}

function errorOf(reason: Error): NonNullable<MigrationSummary['error']> {
  const code = reason instanceof PostcopyError ? reason.code : 'MIGRATION_FAILED';
  const facts = factsOf(reason);
  return { code, message: describeError(reason), ...(facts.length === 0 ? {} : { facts }) };
}
