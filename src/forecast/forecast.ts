/**
 * What a migration of each mode would be, told from how fast the guest writes and what the link carries. Pure. Rounds follow
 * the rule of the true ones (next-round.ts), and what a fault and a page cost at both ends is that of `replay` (COSTS).
 *
 * The dirty log knows of writes alone: of a guest that reads much more than it writes, it waits longer than is said here.
 */
import { bytesOfPages, PAGE_SIZE } from '../memory/page-size.js';
import { MIGRATION_MODES, type MigrateOptions, type MigrationMode } from '../migrate/options.js';
import { nextStep, roundsGoalOf, standstillMs, type NextStep, type RoundsGoal } from '../migrate/source/next-round.js';
import { COSTS } from '../replay/model.js';
import type { WriteMeasure } from '../vm/service.js';
import { waitingMs } from './waiting.js';
import { WriteCurve } from './write-curve.js';

export interface ForecastLink {
  /** Bits a second; Infinity where only the ends take time. */
  rateBits: number;
  roundTripMicros: number;
}

/** Times in milliseconds. */
export interface ModeForecast {
  mode: MigrationMode;
  /** cancelled: the guest stays, as --on-timeout wishes. */
  ends: 'moved' | 'cancelled';
  downtimeMs: number;
  /** Until all of it is there. */
  totalMs: number;
  /** Until it never waits for a page any more: from the hand-over on. */
  fullSpeedMs: number;
  /** For pages, of all vCPUs together; and of one fault, where the link is not held up. */
  waitingMs: number;
  faultMs: number;
  wireBytes: number;
  /** Before the hand-over. */
  rounds: number;
  /** Of pre-copy: whether its rounds come to an end before --timeout. */
  converges?: boolean;
  /** Of a pre-copy that does not: from this rate of the link on it would, bits a second; none if no rate is enough. */
  convergesFromBits?: number | undefined;
}

export type ForecastOptions = Pick<MigrateOptions, 'downtime' | 'timeout' | 'onTimeout' | 'bandwidth'>;

const MS = 1000;
const BITS_PER_BYTE = 8;
/** Pages of an extent, as a guest leaves them that writes here and there. */
const EXTENT_PAGES = 16;
/** A round that leaves more than this of what it began with is followed by others that leave as much. */
const STUCK = 0.999;
const SEARCH_BITS = { from: 1e6, to: 1e12, steps: 40 };

interface Reckoned {
  curve: WriteCurve;
  dataPages: number;
  cpus: number;
  xsaveBytes: number;
  pageMicros: number;
  roundTripMicros: number;
  faultMs: number;
}

interface RoundsForecast {
  step: Exclude<NextStep, 'round'>;
  converges: boolean;
  count: number;
  copied: number;
  left: number;
  elapsedMs: number;
}

/** Of each mode, in the order of MIGRATION_MODES. Throws nothing. */
export function forecast(measure: WriteMeasure, link: ForecastLink, options: ForecastOptions): ModeForecast[] {
  const reckoned = reckonedOf(measure, link, options);
  return MIGRATION_MODES.map((mode) => {
    const goal = roundsGoalOf({ ...options, mode } as MigrateOptions);
    if (goal === undefined) return postCopy(reckoned);
    const told = inRounds(reckoned, goal);
    if (told.converges !== false) return told;
    const convergesFromBits = rateToConverge(measure, link, options, goal);
    return { ...told, convergesFromBits };
  });
}

function reckonedOf(
  measure: WriteMeasure,
  { rateBits, roundTripMicros }: ForecastLink,
  options: ForecastOptions,
): Reckoned {
  const { cpus, xsaveBytes } = measure;
  const linkMicros = (PAGE_SIZE * BITS_PER_BYTE * 1e6) / rateBits;
  const limitMicros = options.bandwidth === undefined ? 0 : (PAGE_SIZE * 1e6) / options.bandwidth;
  const { sendPage, sendExtent, sendBatch, installPage, installExtent, installBatch } = COSTS;
  const sendMicros = sendPage + (sendExtent + sendBatch) / EXTENT_PAGES;
  const installMicros = installPage + (installExtent + installBatch) / EXTENT_PAGES;
  const { fault, answer, install, wakeUp } = COSTS;
  const faultMicros = roundTripMicros + linkMicros + fault + answer + install + 2 * wakeUp;
  return {
    curve: new WriteCurve(measure.written, measure.dataPages),
    dataPages: measure.dataPages,
    ...{ cpus, xsaveBytes, roundTripMicros },
    pageMicros: Math.max(linkMicros, limitMicros, sendMicros, installMicros),
    faultMs: faultMicros / MS,
  };
}

function postCopy(reckoned: Reckoned): ModeForecast {
  const { curve, dataPages, pageMicros, faultMs, cpus } = reckoned;
  const downtimeMs = standstillMs(0, reckoned);
  const pullMs = (dataPages * pageMicros) / MS;
  const missing = dataPages === 0 ? 0 : 1;
  return {
    ...{ mode: 'post-copy', ends: 'moved', downtimeMs, faultMs, rounds: 0 },
    totalMs: downtimeMs + pullMs,
    fullSpeedMs: pullMs,
    waitingMs: waitingMs(curve, { pullMs, missing, faultMs, cpus }),
    wireBytes: bytesOfPages(dataPages),
  };
}

function inRounds(reckoned: Reckoned, goal: RoundsGoal): ModeForecast {
  const { curve, pageMicros, faultMs, cpus } = reckoned;
  const { step, converges, count, copied, left, elapsedMs } = roundsOf(reckoned, goal);
  const whole = step === 'stop-whole';
  const cancelled = step === 'cancel';
  const downtimeMs = cancelled ? 0 : standstillMs(whole ? left : 0, reckoned);
  const pullMs = whole || cancelled ? 0 : (left * pageMicros) / MS;
  // What is left was written last, and is what the guest goes on with.
  const missing = pullMs === 0 ? 0 : 1;
  return {
    ...{ mode: goal.mode, ends: cancelled ? 'cancelled' : 'moved', downtimeMs, faultMs, rounds: count },
    totalMs: elapsedMs + downtimeMs + pullMs,
    fullSpeedMs: pullMs,
    waitingMs: Math.min(waitingMs(curve, { pullMs, missing, faultMs, cpus }), left * faultMs),
    wireBytes: bytesOfPages(Math.round(copied + (cancelled ? 0 : left))),
    ...(goal.mode === 'pre-copy' ? { converges } : {}),
  };
}

/** Round by round. Where rounds leave what they began with, the rest of the time is not gone through one by one. */
function roundsOf(reckoned: Reckoned, goal: RoundsGoal): RoundsForecast {
  const { curve, dataPages, pageMicros, roundTripMicros } = reckoned;
  let [count, copied, elapsedMs, left] = [0, 0, 0, dataPages];
  for (;;) {
    const began = left;
    const fullMs = (began * pageMicros + roundTripMicros) / MS;
    const ms = Math.min(fullMs, goal.timeoutMs - elapsedMs);
    const sent = fullMs === 0 ? began : (began * ms) / fullMs;
    count++;
    copied += sent;
    elapsedMs += ms;
    left = Math.min(dataPages, Math.round(began - sent + curve.within(ms)));
    const downtimeMs = standstillMs(left, reckoned);
    const step = nextStep(goal, { copied: sent, left, downtimeMs, elapsedMs });
    const converges = step === 'stop-whole' && (left === 0 || downtimeMs <= goal.downtimeMs);
    if (step !== 'round') return { step, converges, count, copied, left, elapsedMs };
    if (left < began * STUCK) continue;
    const more = Math.max(0, Math.floor((goal.timeoutMs - elapsedMs) / fullMs) - 1);
    count += more;
    copied += more * began;
    elapsedMs += more * fullMs;
  }
}

/** By halves, in powers; undefined if the guest is too fast for any. */
function rateToConverge(
  measure: WriteMeasure,
  link: ForecastLink,
  options: ForecastOptions,
  goal: RoundsGoal,
): number | undefined {
  const converges = (rateBits: number) => roundsOf(reckonedOf(measure, { ...link, rateBits }, options), goal).converges;
  let { from, to } = SEARCH_BITS;
  if (!converges(to)) return undefined;
  for (let i = 0; i < SEARCH_BITS.steps; i++) {
    const middle = Math.sqrt(from * to);
    if (converges(middle)) to = middle;
    else from = middle;
  }
  return to;
}
