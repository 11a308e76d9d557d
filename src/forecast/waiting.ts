/**
 * How long a guest waits for pages that come behind the hand-over. They are pushed at an even rate in no order that helps it;
 * it touches new pages as fast as it writes new ones, and a page that is not there yet costs one vCPU a fault.
 */
import type { WriteCurve } from './write-curve.js';

/** Parts of the time in which pages come, in each of which all goes at one rate. */
const STEPS = 200;

export interface Pulling {
  /** How long the pages take that are missing, milliseconds. */
  pullMs: number;
  /** Of the pages that the guest touches: how many are missing at first, 0 to 1. */
  missing: number;
  faultMs: number;
  cpus: number;
}

/** Milliseconds, of all vCPUs together. */
export function waitingMs(curve: WriteCurve, { pullMs, missing, faultMs, cpus }: Pulling): number {
  const step = pullMs / STEPS;
  let waited = 0;
  /** How far the guest has come, in time in which it ran. */
  let ran = 0;
  for (let i = 0; i < STEPS; i++) {
    const missed = missing * (1 - (i + 1 / 2) / STEPS);
    const touched = curve.within(ran + step) - curve.within(ran);
    const faultsMs = touched * missed * faultMs;
    // Of a step in wall time it runs that part which its faults leave it.
    const part = step === 0 ? 1 : step / (step + faultsMs / cpus);
    waited += faultsMs * part;
    ran += step * part;
  }
  return waited;
}
