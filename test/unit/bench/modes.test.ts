import { describe, expect, it, test } from 'vitest';
import { evaluateModeTargets } from '../../../src/bench/mode-targets.js';
import { BANDWIDTH, modeScenarios } from '../../../src/bench/modes.js';
import { migrationPlan } from '../../../src/bench/qemu/migration-plan.js';
import { modesText } from '../../../src/bench/report/modes-text.js';
import type { BenchResult, Figures } from '../../../src/bench/result.js';
import { steadyRate } from '../../../src/bench/steady-rate.js';
import { summarizeRuns } from '../../../src/bench/summarize.js';
import type { SystemName } from '../../../src/bench/system.js';
import { standstillUs } from '../../../src/bench/timeline.js';
import { PAGE_SIZE } from '../../../src/memory/page-size.js';
import { checkMigrateOptions } from '../../../src/migrate/options.js';
import { fakeScenario } from './fake-scenario.js';

describe('QEMU is told', () => {
  test('to switch at once in post-copy', () => {
    const plan = migrationPlan('qemu-preempt');
    expect(plan).toMatchObject({ capabilities: ['postcopy-ram', 'postcopy-preempt'], postcopy: 'at once' });
    expect(plan.parameters).toMatchObject({ 'max-postcopy-bandwidth': 0 });
    expect(plan.late).toBeUndefined();
  });

  test('to switch behind the first pass in hybrid', () => {
    expect(migrationPlan('qemu', { mode: 'hybrid' })).toMatchObject({
      ...{ capabilities: ['postcopy-ram'], postcopy: 'first pass' },
    });
  });

  test('what ends a pre-copy that is too slow', () => {
    const asked = { mode: 'pre-copy', downtime: 100, timeout: 5 } as const;
    const plan = migrationPlan('qemu', { ...asked, onTimeout: 'cancel' });
    expect(plan).toMatchObject({ capabilities: [], postcopy: 'never', parameters: { 'downtime-limit': 100 } });
    expect(plan.parameters).not.toHaveProperty('multifd-channels');
    expect(plan.late).toEqual({ afterMs: 5000, command: 'migrate_cancel' });
    const switched = migrationPlan('qemu', { ...asked, onTimeout: 'post-copy' });
    expect(switched.capabilities).toEqual(['postcopy-ram']);
    expect(switched.late).toEqual({ afterMs: 5000, command: 'migrate-start-postcopy' });
  });

  test('never to switch with multifd, which has no post-copy', () => {
    expect(migrationPlan('qemu-multifd', { mode: 'pre-copy', onTimeout: 'cancel' })).toMatchObject({
      ...{ capabilities: ['multifd'], parameters: { 'multifd-channels': 2 }, postcopy: 'never' },
    });
  });
});

test('every scenario asks what a migration can be asked, and multifd only for pre-copy', () => {
  for (const { workload, systems } of modeScenarios(1)) {
    const { mode } = checkMigrateOptions(workload.migrate!);
    if (systems.includes('qemu-multifd')) expect(mode).toBe('pre-copy');
  }
});

describe('a standstill', () => {
  const line = (counts: number[]) => ({ intervalUs: 10_000, before: 100, counts, longestUs: [], commandAt: 0 });

  it('has what is missing beside the empty intervals', () => {
    expect(standstillUs(line([100, 40, 0, 0, 70, 100, 0, 100]))).toBeCloseTo(29_000);
  });

  it('is none where the guest always works a little', () => {
    expect(standstillUs(line([100, 40, 6, 100]))).toBe(0);
  });

  it('may be where the series ends', () => {
    expect(standstillUs(line([100, 0]))).toBeCloseTo(10_000);
  });
});

describe('the steady rate', () => {
  test('leaves out how it began and ended', () => {
    const pages = [1000, 1000, 900, 500, 100, 99, 0];
    expect(steadyRate(pages.map((left, i) => ({ atMs: i * 1000, pages: left })))).toBe(400 * PAGE_SIZE);
  });

  test('is none of a short migration', () => {
    expect(steadyRate([])).toBeUndefined();
    const short = [100, 80, 20, 0].map((pages, i) => ({ atMs: i * 100, pages }));
    expect(steadyRate(short)).toBeUndefined();
  });
});

type Some = Partial<Record<SystemName, Partial<Figures>[]>>;

/** Rounds with these figures. */
function scenario(name: string, systems: Some) {
  const [like] = fakeScenario('').runs;
  const runs = (Object.entries(systems) as [SystemName, Partial<Figures>[]][]).flatMap(([system, rounds]) =>
    rounds.map((known, i) => ({ ...like!, system, round: i + 1, figures: { ...like!.figures, ...known } })),
  );
  return { ...fakeScenario(name), name, runs, failed: [], summaries: summarizeRuns(runs) };
}

function verdict(title: string, name: string, systems: Some, against: SystemName | 'fixed' = 'fixed') {
  const targets = evaluateModeTargets([scenario(name, systems)]);
  return targets.find((target) => target.title === title && target.against === against)!;
}

describe('targets', () => {
  test('are all there without any run, and none is met or missed', () => {
    const targets = evaluateModeTargets([]);
    expect(targets).toHaveLength(41);
    expect(targets.every(({ met, value }) => met === undefined && value === undefined)).toBe(true);
  });

  test('of medians tell in how many rounds they were met', () => {
    const own = [{ totalMs: 1 }, { totalMs: 2 }, { totalMs: 9 }];
    const its = [{ totalMs: 3 }, { totalMs: 3 }, { totalMs: 3 }];
    const target = verdict('hybrid, hot/cold, 1g: total time', 'hybrid-1g', { postcopy: own, qemu: its }, 'qemu');
    expect(target).toMatchObject({ value: 2 / 3, met: true, rounds: { within: 2, of: 3 } });
  });

  test('of a guest that is too fast count what ended otherwise', () => {
    const ends = { postcopy: [{ moved: 0 }, { moved: 1 }] };
    expect(verdict('too fast, cancel: guests that moved', 'busy-cancel', ends)).toMatchObject({ value: 1, met: false });
  });

  test('of a limit are missed by too much and by too little', () => {
    const title = 'bandwidth, 4 channels: off the limit';
    const met = (share: number) => verdict(title, 'bandwidth-4', { postcopy: [{ steadyRate: BANDWIDTH * share }] }).met;
    expect([met(0.94), met(0.96), met(1.04), met(1.06)]).toEqual([false, true, true, false]);
    const late = { postcopy: [{ faultWaitP99Us: 20_100 }] };
    expect(verdict('bandwidth, 4 channels: fault wait, p99', 'bandwidth-4', late).met).toBe(false);
  });
});

test('a line tells of each system, and verdicts follow', () => {
  const scenarios = [
    scenario('hybrid-1g', { postcopy: [{ totalMs: 200, rounds: 2 }], qemu: [{ totalMs: 100 }] }),
    { ...fakeScenario('busy'), runs: [], summaries: {} },
  ];
  const targets = evaluateModeTargets(scenarios);
  const host: BenchResult['host'] = {
    ...{ machine: 'kvm', cpu: 'a CPU', cores: 2, memoryBytes: 1, kernel: '6.18', kvmModules: [] },
    ...{ transparentHugePages: 'madvise', memoryMeter: 'samples', node: '20', postcopy: '0' },
  };
  const options = { rounds: 1, systems: [] };
  const text = modesText({ version: 1, startedAt: '', host, options, scenarios, targets });
  expect(text).toMatch(/^postcopy +200 ms .* 2 +1 *$/m);
  expect(text).toMatch(/^FAILED: qemu, round 2: it broke$/m);
  expect(text).toMatch(/total time +vs QEMU without +2.00 +<= 1 +MISSED \(0 of 1 rounds\)$/m);
});
