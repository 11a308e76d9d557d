/**
 * Random misbehaviour of the network and of both ends while a VM moves: nothing is lost, nothing runs twice, nothing is left
 * behind. `scripts/soak` says how many runs there are, and from which seed on.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Deferred } from '../../src/basics/deferred.js';
import { packageRoot } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { planOf, planText } from './plan.js';
import { run, type Run } from './run.js';
import { summaryText } from './summary.js';

const room = useCleanRoom();

const RUNS = Number(process.env['POSTCOPY_SOAK_RUNS'] ?? 60);
const FIRST_SEED = Number(process.env['POSTCOPY_SOAK_SEED'] ?? 1);
/** At one time: most of the time most of them wait. */
const TOGETHER = Number(process.env['POSTCOPY_SOAK_TOGETHER'] ?? 2 * availableParallelism());
/** What violations leave for whoever looks into them. */
const KEPT = join(packageRoot, '.cache/soak');

/** Of as many runs. */
const MANY = 20;
const LEAST_SHARE = 1 / 2;

const soak = Array.from({ length: RUNS }, (_, index) => ({
  plan: planOf(FIRST_SEED + index),
  end: new Deferred<Run>(),
}));
const ended: Run[] = [];
const begunAt = performance.now();

beforeAll(() => {
  const waiting = soak.values();
  for (let i = 0; i < TOGETHER; i++) void work(waiting);
});

/** Runs begin in the order of their seeds, several at a time, whichever of them is looked at. */
async function work(waiting: Iterable<(typeof soak)[number]>): Promise<void> {
  for (const { plan, end } of waiting) {
    const one = await run(plan, join(room, `seed-${plan.seed}`));
    ended.push(one);
    end.resolve(one);
  }
}

test.each(soak.map(({ plan, end }) => [planText(plan), end] as const))('%s', async (_text, end) => {
  const { plan, violation } = await end.promise;
  if (violation === undefined) return;
  mkdirSync(KEPT, { recursive: true });
  const file = join(KEPT, `seed-${plan.seed}.log`);
  writeFileSync(file, `${violation}\n`);
  throw new Error(`${violation}\nkept in ${file}; again with: scripts/soak --runs 1 --seed ${plan.seed}`);
});

/** A run that ends before anything was agreed ends well; that of so many most do is a fault that each alone hides. */
test.runIf(RUNS >= MANY)('faults strike, and guests move', () => {
  const share = (is: (one: Run) => boolean) => ended.filter(is).length / RUNS;
  expect(share(({ fired }) => fired.length > 0)).toBeGreaterThan(LEAST_SHARE);
  expect(share(({ outcome }) => outcome === 'moved')).toBeGreaterThan(LEAST_SHARE);
});

afterAll(() => console.log(summaryText(ended, (performance.now() - begunAt) / 1000)));
