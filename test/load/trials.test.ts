/**
 * The main job on real input: guests of 1 GiB under full load move between two processes, and every page of them is
 * checked. How long they wait for pages is the benchmark's to say; full load is a test of its own, so nothing else runs beside
 * them.
 */
import { expect, test } from 'vitest';
import { PATTERNS, runTrial } from '../../src/trial/trial.js';
import { MIB, PAGE_SIZE } from '../../src/memory/page-size.js';
import { useCleanRoom } from '../support/clean-room.js';
import { MACHINE } from '../support/machine.js';
import { SCALE } from '../support/scale.js';

useCleanRoom();

/** Source and destination together against the guest's RAM in use. */
const MEMORY_MAX = 1.25;
const SETTLE_MS = 200;

/** Each pattern with 1 and 2 vCPUs, and all of it again: more than ten in a row. */
const SHAPES = PATTERNS.flatMap((pattern) => [1, 2].map((cpus) => ({ pattern, cpus })));
const TRIALS = [
  ...SHAPES.map((shape) => ({ ...shape, memoryMib: 1024, workingSetMib: 512 })),
  ...SHAPES.map((shape) => ({ ...shape, memoryMib: 1024, workingSetMib: 512 })),
].map((trial, index) => ({ ...trial, nth: index + 1 }));

test.each(TRIALS)('$nth: $pattern, $cpus vCPU, $workingSetMib of $memoryMib MiB at work', async (trial) => {
  const memoryBytes = (trial.memoryMib * MIB) / SCALE;
  const workingSetBytes = (trial.workingSetMib * MIB) / SCALE;
  const { cpus, pattern } = trial;
  const { summary, verdict, during } = await runTrial({
    ...{ machine: MACHINE, memoryBytes, workingSetBytes, cpus, pattern },
    settleMs: SETTLE_MS,
  });
  const { pages, faultWaitUs, memory } = summary;
  expect(verdict).toMatchObject({ pages: workingSetBytes / PAGE_SIZE, bad: 0, outside_bad: 0 });
  expect(during.bad).toBe(0);
  expect(pages).toMatchObject({ total: memoryBytes / PAGE_SIZE, resent: 0 });
  expect(pages.sent + pages.zero + pages.absent).toBe(pages.total);
  expect(pages.sent).toBe(pages.demanded + pages.pushed);
  expect(pages.sent).toBeGreaterThanOrEqual(workingSetBytes / PAGE_SIZE);
  expect(summary.wireBytes).toBeGreaterThan(pages.sent * PAGE_SIZE);
  expect(faultWaitUs.count).toBeGreaterThan(0);
  // A process's own buffers weigh more against a small guest.
  if (SCALE === 1) expect(memory.sumPeakBytes).toBeLessThan(pages.sent * PAGE_SIZE * MEMORY_MAX);
});
