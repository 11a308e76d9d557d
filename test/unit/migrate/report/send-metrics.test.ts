import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PostcopyError } from '../../../../src/errors.js';
import { DowntimeLaps } from '../../../../src/migrate/report/downtime.js';
import { SendMetrics, type Ending } from '../../../../src/migrate/report/send-metrics.js';

const SUMS: Record<string, number> = {
  'pages urgent': 30,
  'pages bulk': 70,
  'pages all': 100,
  'zeroPages all': 15,
  'bytes all': 500_000,
};
const channels = {
  sum: (name: string, kind?: string) => SUMS[`${name} ${kind ?? 'all'}`] ?? 0,
};

const limit: { bytesPerSecond: number | undefined } = { bytesPerSecond: undefined };

const waits = { count: 30, mean: 50, p50: 40, p90: 90, p99: 200, max: 900 };

const DONE: Ending = { status: 'completed', complete: undefined };

describe('SendMetrics', () => {
  let metrics: SendMetrics;

  beforeEach(() => {
    vi.useFakeTimers();
    metrics = new SendMetrics({ machine: 'threads', mode: 'post-copy', totalPages: 1000, channels, limit });
    metrics.connected({ bytesSent: 4000 });
  });
  afterEach(() => {
    metrics.end();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('sums up a migration that ended well', () => {
    metrics.stopped(115);
    const laps = new DowntimeLaps();
    laps.begin(1_000_000);
    laps.lap('stop', 1_000_500);
    laps.lap('transfer', 1_002_500);
    metrics.downtime(laps);
    metrics.end();
    const summary = metrics.summary({
      status: 'completed',
      complete: {
        faultWaitUs: waits,
        vcpuBlockedMs: 1.5,
        peakBytes: 2 ** 40,
        overheadBytes: 2 ** 30,
      },
    });
    expect(summary).toMatchObject({
      status: 'completed',
      mode: 'post-copy',
      machine: 'threads',
      downtimeMs: 2.5,
      downtimeParts: { stop: 0.5, save: 0, copy: 0, map: 0, transfer: 2, load: 0, commit: 0, start: 0 },
      wireBytes: 504_000,
      pages: { total: 1000, sent: 100, demanded: 30, pushed: 70, copied: 0, absent: 885, zero: 15, resent: 0 },
      faultWaitUs: waits,
      vcpuBlockedMs: 1.5,
    });
    expect(summary).not.toHaveProperty('error');
    expect(summary.memory.destinationPeakBytes).toBe(2 ** 40);
    expect(summary.memory.sumPeakBytes).toBeGreaterThanOrEqual(2 ** 30 + 115 * 4096);
  });

  it('counts pages sent, or told to be zero, beyond those that hold data as resent', () => {
    metrics.stopped(90);
    expect(metrics.summary(DONE).pages).toMatchObject({ sent: 100, zero: 15, absent: 910, resent: 25 });
  });

  it('says why a migration failed, with its code', () => {
    const reason = new PostcopyError('UNREACHABLE', 'cannot reach it', new Error('ECONNREFUSED'));
    expect(metrics.summary({ status: 'failed', reason })).toMatchObject({
      status: 'failed',
      error: { code: 'UNREACHABLE', message: 'cannot reach it (ECONNREFUSED)' },
      faultWaitUs: { count: 0, max: 0 },
      downtimeMs: 0,
      pages: { absent: 0 },
    });
    expect(metrics.summary({ status: 'failed', reason: new Error('odd') }).error).toEqual({
      code: 'MIGRATION_FAILED',
      message: 'odd',
    });
  });

  it('shows progress from what the destination reports', () => {
    metrics.stopped(100);
    metrics.destinationReports({ pagesInstalled: 40, faultsWaiting: 3 });
    expect(metrics.progress('pulling')).toMatchObject({
      phase: 'pulling',
      pagesLeft: 60,
      pagesTotal: 1000,
      faultsWaiting: 3,
    });
    metrics.destinationReports({ pagesInstalled: 101, faultsWaiting: 0 });
    expect(metrics.progress('complete').pagesLeft).toBe(0);
  });

  it('tells the limit of its rate as it is now, if there is one', () => {
    expect([metrics.progress('pulling'), metrics.summary(DONE)].map((it) => 'bandwidth' in it)).toEqual([false, false]);
    limit.bytesPerSecond = 1e8;
    expect([metrics.progress('pulling').bandwidth, metrics.summary(DONE).bandwidth]).toEqual([1e8, 1e8]);
    limit.bytesPerSecond = undefined;
  });

  it('counts the control channel once it is connected', () => {
    const alone = new SendMetrics({ machine: 'threads', mode: 'post-copy', totalPages: 1000, channels, limit });
    expect(alone.summary(DONE).wireBytes).toBe(500_000);
    const control = { bytesSent: 0 };
    alone.connected(control);
    control.bytesSent = 70;
    expect(alone.summary(DONE).wireBytes).toBe(500_070);
    alone.end();
  });

  it('stands still once it has ended', () => {
    metrics.end();
    const first = metrics.summary(DONE).totalMs;
    for (let i = 0; i < 10_000; i++) metrics.progress('complete');
    expect(metrics.summary(DONE).totalMs).toBe(first);
  });

  it('tells rounds while they go on, and what they came to', () => {
    const totals = { count: 3, elapsedMs: 1500, distinctPages: 110 };
    metrics.copying({ shown: { round: 2, pagesLeft: 7, dirtyPagesPerSecond: 40 }, totals });
    expect(metrics.progress('copying')).toMatchObject({ pagesLeft: 7, round: { number: 2, dirtyPagesPerSecond: 40 } });
    metrics.stopped(115, 80);
    expect(metrics.progress('pulling')).toMatchObject({ pagesLeft: 35 });
    expect(metrics.progress('pulling').round).toBeUndefined();
    expect(metrics.summary(DONE)).toMatchObject({ rounds: { count: 3, ms: 1500 }, pages: { resent: 5 } });
  });
});
