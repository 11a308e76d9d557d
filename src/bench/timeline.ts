/**
 * A guest's speed over a migration: its own `series`, cut at the moment of the migration's command. All times are
 * microseconds of the guest's clock.
 */
import { z } from 'zod';
import { median } from './statistics.js';

export const guestSeries = z.looseObject({
  interval_us: z.number(),
  start_us: z.number(),
  now_us: z.number(),
  counts: z.array(z.number()),
  longest_us: z.array(z.number()),
});
export type GuestSeries = z.infer<typeof guestSeries>;

/** Back is who does this share of its former work ... */
const BACK_SHARE = 0.9;
/** ... over this time. */
const BACK_WINDOW_US = 50_000;
/**
 * The switch-over is where the speed falls below this share of what it was. Half would not do: write-protecting RAM or
 * making the machine ready costs a guest more than that while it still runs at the source.
 */
const SWITCH_SHARE = 0.05;
/** ... or, where pages are no obstacle after it, below this one. */
const MILD_SWITCH_SHARE = 0.5;
/** Of the command's interval, that has to be left to tell a speed from. */
const MIN_ROOM = 0.1;

export interface Timeline {
  intervalUs: number;
  /** Accesses per interval at full speed: the median before the command. */
  before: number;
  /** Interval 0 is the one in which the command was given. */
  counts: number[];
  longestUs: number[];
  /** How much of interval 0 had passed when the command was given, 0 to 1. */
  commandAt: number;
}

/** `before` ended and the statistics were zeroed before the command; `after` was taken when all was over. */
export function timeline(before: GuestSeries, after: GuestSeries, commandUs: number): Timeline {
  const intervalUs = after.interval_us;
  const first = Math.max(0, Math.floor((commandUs - after.start_us) / intervalUs));
  // The first and the last interval of a series are not whole.
  const whole = before.counts.slice(1, -1);
  return {
    intervalUs,
    before: median(whole),
    counts: after.counts.slice(first, -1),
    longestUs: after.longest_us.slice(first, -1),
    commandAt: Math.min(1, Math.max(0, (commandUs - after.start_us) / intervalUs - first)),
  };
}

/**
 * The interval in which the guest stopped to go on elsewhere: the first from the command's on with less than 5 % of the
 * work of one before; if there is none, the first with less than half; -1 if there is none of these either. Interval 0
 * counts only as far as it lies behind the command.
 */
export function switchInterval(line: Timeline): number {
  const deep = firstBelow(line, SWITCH_SHARE);
  return deep >= 0 ? deep : firstBelow(line, MILD_SWITCH_SHARE);
}

function firstBelow({ counts, before, commandAt }: Timeline, share: number): number {
  return counts.findIndex((count, i) => {
    // Work of interval 0 that was done before the command, at full speed, is none of the migration's.
    const [work, room] = i === 0 ? [count - before * commandAt, 1 - commandAt] : [count, 1];
    return room > MIN_ROOM && work < before * room * share;
  });
}

/**
 * The stall at the switch-over in microseconds: the longest access that ended in the switch-over's interval or in those
 * behind it, up to and including the first in which an access ended. That first one is looked at even if the stall was
 * over within the switch-over's own interval: a stall is noted where it ends, and which of the two it was the counts do
 * not tell. Undefined without a switch-over.
 */
export function switchStallUs(line: Timeline): number | undefined {
  const from = switchInterval(line);
  if (from < 0) return undefined;
  let to = from + 1;
  while (to < line.counts.length - 1 && line.counts[to] === 0) to++;
  return Math.max(...line.longestUs.slice(from, to + 1));
}

/**
 * Microseconds from the command until the guest is back at `speed` (accesses per interval): the first interval, from the
 * switch-over on, with which 50 ms begin that reach 90 % of it. 0 if the speed never fell; Infinity if it did not come back.
 */
export function backUs(line: Timeline, speed: number): number {
  const from = switchInterval(line);
  if (from < 0) return 0;
  const width = Math.ceil(BACK_WINDOW_US / line.intervalUs);
  for (let i = from; i + width <= line.counts.length; i++) {
    const work = line.counts.slice(i, i + width).reduce((sum, count) => sum + count, 0);
    if (work >= speed * width * BACK_SHARE) return Math.max(0, (i - line.commandAt) * line.intervalUs);
  }
  return Infinity;
}

/** Work missing until `untilUs` from the command on, in microseconds of the whole guest's full speed. */
export function lostUs(line: Timeline, untilUs: number): number {
  const end = Math.min(line.counts.length, Math.ceil(untilUs / line.intervalUs + line.commandAt));
  const done = line.counts.slice(0, end).reduce((sum, count) => sum + count, 0);
  return Math.max(0, end - done / line.before) * line.intervalUs;
}

/**
 * The longest time in which the guest did next to nothing, told from its work and not from its accesses: one that works at a
 * given rate stands still between two of them, and no access has it. 0 if it was shorter than an interval.
 */
export function standstillUs({ counts, before, intervalUs }: Timeline): number {
  const idleShare = (count: number | undefined) => (count === undefined ? 0 : Math.max(0, 1 - count / before));
  let longest = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i]! >= before * SWITCH_SHARE) continue;
    const from = i;
    while (i < counts.length && counts[i]! < before * SWITCH_SHARE) i++;
    longest = Math.max(longest, i - from + idleShare(counts[from - 1]) + idleShare(counts[i]));
  }
  return longest * intervalUs;
}

/** The median speed of the last `us`, in accesses per interval. */
export function speedAtEnd(line: Timeline, us: number): number {
  return median(line.counts.slice(-Math.ceil(us / line.intervalUs)));
}
