import { expect, it } from 'vitest';
import { prefetchScenarios, type Replayed } from '../../../src/bench/prefetch.js';
import { prefetchText } from '../../../src/bench/report/prefetch-text.js';
import type { BenchResult } from '../../../src/bench/result.js';
import { PREFETCH_POLICIES } from '../../../src/migrate/options.js';
import { COSTS } from '../../../src/replay/model.js';
import { madeUpTrace } from '../../../src/replay/made-up.js';
import { replay } from '../../../src/replay/replay.js';
import { fakeScenario } from './fake-scenario.js';

const HOST: BenchResult['host'] = {
  ...{ machine: 'threads', cpu: 'a CPU', cores: 2, memoryBytes: 1, kernel: '6.18', kvmModules: [] },
  ...{ transparentHugePages: 'madvise', memoryMeter: 'samples', node: '20', postcopy: '0' },
};

it('has every order of pages for each guest and link', () => {
  const scenarios = prefetchScenarios(2);
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(3 * 2 * PREFETCH_POLICIES.length);
  for (const { workload, systems } of scenarios) {
    expect(workload).toMatchObject({ cpus: 2, rate: expect.any(Number), migrate: { prefetch: expect.any(String) } });
    expect(systems).toEqual(['postcopy']);
  }
});

it('shows side by side what was reckoned, and below each other what was measured', () => {
  const trace = madeUpTrace('hot-cold', { pages: 1024 });
  const model = { rateBits: 1e9, roundTrip: 60, cpus: 2, costs: COSTS };
  const outcomes = Object.fromEntries(PREFETCH_POLICIES.map((policy) => [policy, replay(trace, policy, model)]));
  const replayed = { trace: 'hot-cold', link: '1g', outcomes: outcomes as Replayed['outcomes'] };
  const scenarios = [fakeScenario('hotcold, 1g, auto'), { ...fakeScenario('uniform, 1g, auto'), failed: [] }];
  const text = prefetchText(
    { version: 1, startedAt: '', host: HOST, options: { rounds: 1, systems: [] }, scenarios, targets: [] },
    [replayed],
  );
  const lines = text.split('\n');
  expect(lines[1]).toMatch(/^trace +link +in-order +near-faults +streams +auto +recent$/);
  expect(lines[2]).toMatch(/^hot-cold +1g( +\d+ \/ \d+){5}$/);
  expect(text).toMatch(/^hotcold +1g +auto +200 ms +10.0 ms +1.00 ms +5 +1.00 ms +FAILED: it broke$/m);
  expect(text).toMatch(/^uniform +1g +auto .* 1.00 ms$/m);
});
