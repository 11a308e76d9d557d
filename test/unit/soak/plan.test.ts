import { expect, test } from 'vitest';
import { planOf, planText, QUIET_MS_MAX, type Fault } from '../../soak/plan.js';

const PLANS = Array.from({ length: 2000 }, (_, seed) => planOf(seed));
const FAULTS = PLANS.flatMap(({ faults }) => faults);

test('the same seed gives the same plan, another one another', () => {
  expect(planOf(17)).toEqual(planOf(17));
  expect(new Set(PLANS.map((plan) => planText({ ...plan, seed: 0 }))).size).toBeGreaterThan(PLANS.length * 0.9);
});

test('every run has a fault, and only its last one kills', () => {
  for (const { faults } of PLANS) {
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.slice(0, -1).filter(({ kind }) => kind === 'kill')).toEqual([]);
  }
});

test('pages cross in rounds in a third of the runs, and faults strike there', () => {
  const inRounds = PLANS.filter(({ mode }) => mode !== 'post-copy');
  expect(Math.abs(inRounds.length / PLANS.length - 1 / 3)).toBeLessThan(0.05);
  const steps = (plans: typeof PLANS) =>
    new Set(
      plans.flatMap(({ faults }) => faults.map(({ moment }) => ('message' in moment ? moment.message : moment.at))),
    );
  expect(steps(inRounds).has('ram')).toBe(false);
  const others = steps(PLANS.filter(({ mode }) => mode === 'post-copy'));
  expect([others.has('copying'), others.has('copied')]).toEqual([false, false]);
});

test('no run is quiet for longer than the ends may be asked to remember it', () => {
  for (const { faults } of PLANS) {
    const quietMs = faults.reduce((sum, fault) => sum + ('ms' in fault ? fault.ms : 0), 0);
    expect(quietMs).toBeLessThanOrEqual(QUIET_MS_MAX);
  }
});

test('what is told of the soak comes up: every kind, every channel, one direction, one end, every step', () => {
  const having = (is: (fault: Fault) => boolean) => FAULTS.filter(is).length;
  for (const hit of ['all', 'control', 'urgent', 'bulk']) {
    expect(having((fault) => fault.kind === 'reset' && fault.hit === hit)).toBeGreaterThan(0);
    expect(having((fault) => fault.kind === 'silence' && fault.hit === hit)).toBeGreaterThan(0);
  }
  for (const end of ['source', 'destination', 'both']) {
    expect(having((fault) => fault.kind === 'reset' && fault.ends === end)).toBeGreaterThan(0);
    expect(having((fault) => fault.kind === 'silence' && fault.to === end)).toBeGreaterThan(0);
    const isOne = end === 'both' ? 0 : 1;
    expect(having((fault) => fault.kind === 'stop' && fault.end === end)).toBeGreaterThanOrEqual(isOne);
    expect(having((fault) => fault.kind === 'kill' && fault.end === end)).toBeGreaterThanOrEqual(isOne);
  }
  const steps = [
    'hello',
    'accept',
    'ram',
    'copying',
    'state',
    'loaded',
    'commit',
    'running',
    'pushing',
    'standing',
    'complete',
    'bye',
  ];
  for (const step of steps) {
    for (const when of ['before', 'after']) {
      const isThen = ({ moment }: Fault) => moment.at === 'message' && moment.message === step && moment.when === when;
      expect(having(isThen), `${when} ${step}`).toBeGreaterThan(0);
    }
  }
  expect(having(({ moment }) => moment.at === 'pushed')).toBeGreaterThan(0);
  expect(having(({ moment }) => moment.at === 'copied')).toBeGreaterThan(0);
  expect(having(({ moment }) => moment.at === 'reconnect')).toBeGreaterThan(0);
});

test('silences are mostly short, and some longer than every limit of the link', () => {
  const lengths = FAULTS.flatMap((fault) => ('ms' in fault ? [fault.ms] : []));
  expect(lengths.filter((ms) => ms <= 3000).length).toBeGreaterThan(lengths.length / 2);
  expect(lengths.filter((ms) => ms > 30_000).length).toBeGreaterThan(0);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(60_000);
});
