import { describe, expect, test } from 'vitest';
import type { Figures, ScenarioResult, Summary, Target } from '../../../src/bench/result.js';
import type { SystemName } from '../../../src/bench/system.js';
import { evaluateTargets } from '../../../src/bench/targets.js';

type Some = Partial<Figures>;

function scenario(name: string, systems: Partial<Record<SystemName, Some>>): ScenarioResult {
  const summaries: ScenarioResult['summaries'] = {};
  for (const [system, figures] of Object.entries(systems)) {
    const summary: Summary = {};
    for (const [field, value] of Object.entries(figures)) {
      summary[field as keyof Figures] = { median: value, min: value, max: value, count: 1 };
    }
    summaries[system as SystemName] = summary;
  }
  const workload = { memoryBytes: 1, workingSetBytes: 1, cpus: 1, pattern: 'uniform' };
  return { name, title: name, workload, link: 'loopback', runs: [], failed: [], summaries };
}

function find(targets: Target[], title: string, against: Target['against'] = 'fixed'): Target {
  return targets.find((target) => target.title.includes(title) && target.against === against)!;
}

describe('a ratio', () => {
  const loopback = (mine: number) =>
    evaluateTargets([
      scenario('loopback', {
        postcopy: { faultWaitMeanUs: mine, totalMs: 25.1 },
        'qemu-preempt': { faultWaitMeanUs: 2000, totalMs: 100 },
        qemu: { faultWaitMeanUs: 12_000, totalMs: 101 },
      }),
    ]);

  test('is met up to its limit', () => {
    expect(find(loopback(100), 'mean fault wait, loopback', 'qemu-preempt')).toMatchObject({ value: 0.05, met: true });
    expect(find(loopback(100), 'mean fault wait, loopback', 'qemu')).toMatchObject({ value: 100 / 12_000, met: true });
  });

  test('is missed above it', () => {
    expect(find(loopback(101), 'mean fault wait, loopback', 'qemu-preempt').met).toBe(false);
    expect(find(loopback(50), 'total time', 'qemu-preempt').met).toBe(false);
    expect(find(loopback(50), 'total time', 'qemu').met).toBe(true);
  });

  test('to nothing is none', () => {
    const targets = evaluateTargets([
      scenario('loopback', { postcopy: { faultWaitMeanUs: 5 }, qemu: { faultWaitMeanUs: 0 } }),
    ]);
    expect(find(targets, 'mean fault wait, loopback', 'qemu')).toMatchObject({ value: undefined });
    expect(find(targets, 'mean fault wait, loopback', 'qemu').met).toBeUndefined();
    expect(find(targets, 'mean fault wait, loopback', 'qemu-preempt').met).toBeUndefined();
  });
});

test('a fault wait is told in round trips', () => {
  const target = find(evaluateTargets([scenario('rtt10', { postcopy: { faultWaitMeanUs: 12_100 } })]), '10 ms');
  expect(target.value).toBeCloseTo(1.21);
  expect(target.met).toBe(false);
});

describe('scaling', () => {
  const sizes = (total: number[], wait: number[]) =>
    evaluateTargets(
      [1, 2, 4, 8].map((gib, i) =>
        scenario(`ram-${gib}g`, { postcopy: { totalMs: total[i]!, faultWaitMeanUs: wait[i]! } }),
      ),
    );

  test('is linear and constant', () => {
    const targets = sizes([100, 200, 400, 880], [50, 49, 60, 55]);
    expect(find(targets, 'against linear')).toMatchObject({ value: 1.1, met: true });
    expect(find(targets, 'against constant')).toMatchObject({ value: 1.2, met: true });
  });

  test('is worse at any size', () => {
    const targets = sizes([100, 300, 400, 800], [50, 49, 70, 50]);
    expect(find(targets, 'against linear')).toMatchObject({ value: 1.5, met: false });
    expect(find(targets, 'against constant')).toMatchObject({ value: 1.4, met: false });
  });

  test('is unknown if a size is missing', () => {
    expect(
      find(evaluateTargets([scenario('ram-1g', { postcopy: { totalMs: 1 } })]), 'against linear').met,
    ).toBeUndefined();
  });
});

test('without any run every target is there, and none is met or missed', () => {
  const targets = evaluateTargets([]);
  expect(targets).toHaveLength(17);
  expect(targets.every(({ met, value }) => met === undefined && value === undefined)).toBe(true);
});

test('a warm page shows the downtime', () => {
  const targets = evaluateTargets([scenario('warm', { postcopy: { longestStallMs: 4.9 } })]);
  expect(find(targets, 'warm page')).toMatchObject({ value: 4.9, limit: 5, met: true });
});
