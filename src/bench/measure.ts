/** One run between two ends that are ready: the guest works, is moved and is checked; and what came of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { PostcopyError } from '../errors.js';
import type { GuestConsole, GuestReport, GuestVerdict } from '../trial/guest-console.js';
import { MIB } from '../memory/page-size.js';
import { figuresOf } from './figures.js';
import { clockOffsetUs } from './guest-clock.js';
import type { MemoryCgroup } from './memory-cgroup.js';
import { Meters } from './meters.js';
import type { RunResult, Workload } from './result.js';
import type { PagesLeft, Pair, SystemName } from './system.js';
import { guestSeries, timeline, type GuestSeries } from './timeline.js';

/** Full speed before the migration, of which the speed before is the median. */
const SETTLE_MS = 1000;
/** After it: long enough to be back, and to see at what speed. */
const AFTER_MS = 3000;
/** So that the interval of the command lies wholly behind the reset. */
const RESET_MS = 50;
const OUTSIDE_PAGES = 1000;

const histogram = z.array(z.tuple([z.number(), z.number()]));

export interface Instruments {
  /** The interface that the migration passes. */
  interface: string;
  /** That both ends are in. */
  cgroup: MemoryCgroup | undefined;
}

export async function measure(
  pair: Pair,
  system: SystemName,
  workload: Workload,
  round: number,
  instruments: Instruments,
): Promise<RunResult> {
  const before = await work(pair.guest, workload);
  const offsetBefore = await clockOffsetUs(pair.guest);
  await pair.guest.command('reset', 'reset');
  await delay(RESET_MS);

  const moved = await move(pair, instruments);
  await delay(AFTER_MS);
  // The series first: while a guest answers it does not work, and that is none of the migration's.
  const after = guestSeries.parse(await moved.guest.command('series', 'series'));
  const offsetAfter = await clockOffsetUs(moved.guest);
  const report = await moved.guest.report();
  const whenMoved = await moved.guest.reportMarked();
  const verdict = await moved.guest.verify(OUTSIDE_PAGES);
  moved.guest.close();
  requireWhole(system, report, verdict);

  const line = timeline(before, after, moved.commandAtMs * 1000 - offsetBefore);
  const { account, cost, totalMs, pagesLeft, stayed } = moved;
  const buckets = histogram.parse(whenMoved['hist_us']);
  const clockLostUs = offsetAfter - offsetBefore;
  const figures = figuresOf({
    line,
    report,
    whenMoved,
    buckets,
    account,
    cost,
    totalMs,
    clockLostUs,
    stayed,
    pagesLeft,
  });
  return {
    system,
    round,
    figures,
    timeline: line,
    histogram: buckets,
    pagesLeft,
    report,
    verdict,
    account,
  };
}

/** The series of its work at full speed. */
async function work(guest: GuestConsole, { workingSetBytes, pattern, cpus, rate = 0 }: Workload): Promise<GuestSeries> {
  await guest.command(`fill mib=${Math.round(workingSetBytes / MIB)}`, 'filled');
  await guest.command(`start pattern=${pattern} cpus=${cpus} rate=${rate}`, 'started');
  await delay(SETTLE_MS);
  return guestSeries.parse(await guest.command('series', 'series'));
}

async function move(pair: Pair, instruments: Instruments) {
  const pagesLeft: PagesLeft[] = [];
  const meters = new Meters(pair, instruments.interface, instruments.cgroup);
  const commandAtMs = performance.now();
  const migrated = await pair
    .migrate(({ atMs, pages }) => pagesLeft.push({ atMs: atMs - commandAtMs, pages }))
    .finally(() => meters.pause());
  const cost = meters.stop();
  const guest = await migrated.guest();
  // Faults end with the migration: what the guest waits for later, huge pages being made for one, is no fault wait.
  await guest.command('mark', 'marked');
  const account = await migrated.account();
  const [stayed, totalMs] = [migrated.stayed === true, migrated.completedAtMs - commandAtMs];
  return { commandAtMs, totalMs, stayed, pagesLeft, cost, guest, account };
}

/** A benchmark of something that loses data is worth nothing. */
function requireWhole(system: SystemName, report: GuestReport, verdict: GuestVerdict): void {
  const bad = report.bad + verdict.bad + verdict.outside_bad;
  if (bad === 0 && verdict.pages > 0) return;
  const what = `${report.bad} bad accesses, ${verdict.bad} of ${verdict.pages} pages bad`;
  throw new PostcopyError('INTERNAL', `${system} damaged the guest: ${what}, ${verdict.outside_bad} outside of them`);
}
