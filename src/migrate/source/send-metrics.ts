/** What the source knows of a migration in figures: progress while it runs, the summary at its end. */
import type { MigrationPhase, MigrationProgress, MigrationSummary } from '../../control/service.js';
import { describeError, PostcopyError } from '../../errors.js';
import { native } from '../../native.js';
import { MemoryMeter } from '../memory-meter.js';
import type { Body, Complete } from '../message.js';
import type { SourcePageChannels } from './page-channels.js';

const NO_WAITS = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 };
const SAMPLE_INTERVAL_MS = 10;

export class SendMetrics {
  readonly #startedAt = native.monotonicMicros();
  readonly #meter: MemoryMeter;
  readonly #sampler: NodeJS.Timeout;
  #recentSource = 0;
  #destinationPeak = 0;
  #sumPeak = 0;
  #destination: Body<'progress'> = { memoryBytes: 0, pagesInstalled: 0, faultsWaiting: 0 };
  #dataPages = 0;
  #downtimeMicros = 0;
  #lastBytes = 0;
  #lastProgressAt = this.#startedAt;
  #endedAt: number | undefined;

  /** `dataBytes`: guest RAM that holds data at the beginning. */
  constructor(
    readonly totalPages: number,
    dataBytes: number,
    readonly channels: () => SourcePageChannels | undefined,
    readonly controlBytes: () => number,
  ) {
    this.#meter = new MemoryMeter(dataBytes);
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
    this.#sample();
  }

  /** Pages that hold data, once the guest has stopped. */
  dataPages(pages: number): void {
    this.#dataPages = pages;
  }

  downtime(micros: number): void {
    this.#downtimeMicros = micros;
  }

  destinationReports(report: Body<'progress'>): void {
    this.#destination = report;
    this.#countDestination(report.memoryBytes);
  }

  #countDestination(bytes: number): void {
    this.#destinationPeak = Math.max(this.#destinationPeak, bytes);
    // The report was made a little ago. The source only shrinks meanwhile: its largest sample since the report before
    // makes the sum too large rather than too small.
    this.#sumPeak = Math.max(this.#sumPeak, this.#recentSource + bytes);
    this.#recentSource = this.#meter.sample();
  }

  #sample(): void {
    this.#recentSource = Math.max(this.#recentSource, this.#meter.sample());
    this.#sumPeak = Math.max(this.#sumPeak, this.#recentSource);
  }

  progress(phase: MigrationPhase): MigrationProgress {
    const now = native.monotonicMicros();
    const bytes = this.#wireBytes();
    const rate = ((bytes - this.#lastBytes) / Math.max(1, now - this.#lastProgressAt)) * 1e6;
    this.#lastBytes = bytes;
    this.#lastProgressAt = now;
    return {
      phase,
      pagesLeft: Math.max(0, this.#dataPages - this.#destination.pagesInstalled),
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
    if (complete !== undefined) this.#countDestination(complete.peakBytes);
    return {
      status,
      mode: 'post-copy',
      ...(reason === undefined ? {} : { error: { code: codeOf(reason), message: describeError(reason) } }),
      totalMs: ((this.#endedAt ?? native.monotonicMicros()) - this.#startedAt) / 1000,
      downtimeMs: this.#downtimeMicros / 1000,
      wireBytes: this.#wireBytes(),
      pages: {
        total: this.totalPages,
        sent: channels?.sum('pages') ?? 0,
        demanded: channels?.sum('pages', 'urgent') ?? 0,
        pushed: channels?.sum('pages', 'bulk') ?? 0,
        absent: this.#dataPages === 0 ? 0 : this.totalPages - this.#dataPages,
        resent: Math.max(0, (channels?.sum('pages') ?? 0) - this.#dataPages),
      },
      faultWaitUs: complete?.faultWaitUs ?? NO_WAITS,
      vcpuBlockedMs: complete?.vcpuBlockedMs ?? 0,
      memory: {
        sourcePeakBytes: this.#meter.peak,
        destinationPeakBytes: this.#destinationPeak,
        sumPeakBytes: this.#sumPeak,
      },
    };
  }

  #wireBytes(): number {
    return (this.channels()?.sum('bytes') ?? 0) + this.controlBytes();
  }
}

function codeOf(reason: Error): string {
  return reason instanceof PostcopyError ? reason.code : 'MIGRATION_FAILED';
}
