/**
 * What comes behind a round in which pages were copied while the guest ran: another one, or the end of it. Pure, so that every
 * case can be tried.
 */
import { pagesFor } from '../../memory/page-size.js';
import type { MigrateOptions, MigrationMode, OnTimeout } from '../options.js';

export interface RoundsGoal {
  mode: Exclude<MigrationMode, 'post-copy'>;
  /** Of pre-copy: the guest may stand still for so long. */
  downtimeMs: number;
  /** Rounds may take so long. */
  timeoutMs: number;
  /** Of pre-copy, what comes then. */
  onTimeout: OnTimeout;
}

/** Undefined in post-copy, which has none. */
export function roundsGoalOf({ mode, downtime, timeout, onTimeout }: MigrateOptions): RoundsGoal | undefined {
  return mode === 'post-copy' ? undefined : { mode, downtimeMs: downtime, timeoutMs: timeout * 1000, onTimeout };
}

/** A round that is over, or was ended because the time was up. */
export interface RoundSeen {
  /** Pages that it copied. */
  copied: number;
  /** Pages that the destination lacks, or has as they were: they were written since. */
  left: number;
  /** How long the guest would stand still, if it was stopped now and all of them were sent then. */
  downtimeMs: number;
  /** Since the first round began. */
  elapsedMs: number;
}

/**
 * round: once more, with what is left; stop-whole: the guest stands still while the rest is sent; stop-short: the rest comes
 * behind it; cancel: the guest stays here.
 */
export type NextStep = 'round' | 'stop-whole' | 'stop-short' | 'cancel';

/** Of what a round has copied, another one has to leave less than this to be worth its time. */
const WORTH = 1 / 2;
/** A hybrid's rest that is not worth a round: behind the hand-over it is there in a moment. */
const SMALL_REST_PAGES = 256;

/** Of a guest that stands still, beside its pages and STATE: devices, KVM's work at both ends, COMMIT. */
const BESIDES_MS = 15;
const ROUND_TRIPS = 3;
/** Of one vCPU in STATE, beside its XSAVE. */
const VCPU_STATE_BYTES = 8 * 1024;
const MICROS_PER_MS = 1000;

/** What a guest stands still for: its vCPUs, and a link on which a page takes so long. */
export interface Standstill {
  cpus: number;
  xsaveBytes: number;
  pageMicros: number;
  roundTripMicros: number;
}

/** How long a guest stands still, milliseconds, if so many pages are sent meanwhile. */
export function standstillMs(pages: number, { cpus, xsaveBytes, pageMicros, roundTripMicros }: Standstill): number {
  const statePages = pagesFor(cpus * (xsaveBytes + VCPU_STATE_BYTES));
  const micros = (pages + statePages) * pageMicros + ROUND_TRIPS * roundTripMicros;
  return BESIDES_MS + micros / MICROS_PER_MS;
}

export function nextStep(goal: RoundsGoal, seen: RoundSeen): NextStep {
  return goal.mode === 'hybrid' ? ofHybrid(goal, seen) : ofPreCopy(goal, seen);
}

function ofPreCopy({ downtimeMs, timeoutMs, onTimeout }: RoundsGoal, seen: RoundSeen): NextStep {
  if (seen.left === 0 || seen.downtimeMs <= downtimeMs) return 'stop-whole';
  if (seen.elapsedMs < timeoutMs) return 'round';
  return AT_TIMEOUT[onTimeout];
}

const AT_TIMEOUT: Record<OnTimeout, NextStep> = { 'post-copy': 'stop-short', stop: 'stop-whole', cancel: 'cancel' };

function ofHybrid({ timeoutMs }: RoundsGoal, { copied, left, elapsedMs }: RoundSeen): NextStep {
  const pays = left > SMALL_REST_PAGES && left < copied * WORTH;
  return pays && elapsedMs < timeoutMs ? 'round' : 'stop-short';
}
