/** What postcopy set out to reach, and whether it did: ratios are of medians over the rounds of one run. */
import { against, byName, figure, fixed, type Limits, type Scenarios } from './judge.js';
import type { ScenarioResult, Target } from './result.js';
import { LONG_RTT_MS, SCALE_GIB, scaleName } from './scenario.js';

/** What runs differ by without any cause in the guest's size: a scaling worse than this is none that is linear. */
const SCALING_TOLERANCE = 1.25;

export function evaluateTargets(results: ScenarioResult[]): Target[] {
  const scenarios = byName(results);
  return [
    ...against(scenarios, 'loopback', 'faultWaitMeanUs', 'mean fault wait, loopback, uniform access, full push', {
      'qemu-preempt': 1 / 20,
      qemu: 1 / 120,
    }),
    ...against(scenarios, 'loopback', 'faultWaitP99Us', 'p99 fault wait', { 'qemu-preempt': 1 / 10 }),
    ...against(scenarios, 'loopback', 'longestStallMs', 'longest stall the guest felt', both(1 / 10)),
    ...against(scenarios, 'loopback', 'lostMs', 'guest time lost', both(1 / 4)),
    ...against(scenarios, 'loopback', 'totalMs', 'total time', both(1 / 4)),
    ...against(scenarios, '1g', 'faultWaitMeanUs', 'mean fault wait at 1 Gb/s, the push saturating the link', {
      'qemu-preempt': 1 / 4,
      qemu: 1 / 20,
    }),
    fixed('mean fault wait at 10 ms round trip', roundTrips(scenarios), 1.2, 'round trips'),
    fixed('bytes on the wire, of pages that hold data', figure(scenarios, 'loopback', 'wireRatio'), 1.01, 'times'),
    fixed("source + destination memory, of the guest's RAM in use", memory(scenarios), 1.1, 'times'),
    fixed('total time from 1 to 8 GiB of RAM, against linear', linearity(scenarios), SCALING_TOLERANCE, 'times'),
    fixed('fault wait from 1 to 8 GiB of RAM, against constant', constancy(scenarios), SCALING_TOLERANCE, 'times'),
    fixed('downtime as the guest feels it, warm page', figure(scenarios, 'warm', 'longestStallMs'), 5, 'ms'),
  ];
}

function both(limit: number): Limits {
  return { 'qemu-preempt': limit, qemu: limit };
}

function roundTrips(scenarios: Scenarios): number | undefined {
  const us = figure(scenarios, 'rtt10', 'faultWaitMeanUs');
  return us === undefined ? undefined : us / 1000 / LONG_RTT_MS;
}

function memory(scenarios: Scenarios): number | undefined {
  return figure(scenarios, 'loopback', 'memoryRatio');
}

/** The worst size's total time, per GiB, of the smallest's. */
function linearity(scenarios: Scenarios): number | undefined {
  return worst(SCALE_GIB.map((gib) => scaled(figure(scenarios, scaleName(gib), 'totalMs'), gib)));
}

/** The worst size's mean fault wait of the smallest's. */
function constancy(scenarios: Scenarios): number | undefined {
  return worst(SCALE_GIB.map((gib) => figure(scenarios, scaleName(gib), 'faultWaitMeanUs')));
}

function scaled(value: number | undefined, by: number): number | undefined {
  return value === undefined ? undefined : value / by;
}

/** Only if all sizes were measured: a scaling over fewer is another one. */
function worst(values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === values.length ? Math.max(...known) / known[0]! : undefined;
}
