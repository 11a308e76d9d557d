/** The main job on real input: a guest under full load moves between two processes, and every page of it is checked. */
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { PATTERNS, runTrial } from '../../src/guest/trial.js';
import { MIB, PAGE_SIZE } from '../../src/memory/page-size.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { threadNices } from '../support/thread-nice.js';

useCleanRoom();

/** Divides the guests' sizes on hosts that are emulated; what depends on speed is not asked of them. */
const SCALE = Number(process.env['POSTCOPY_TEST_SCALE'] ?? 1);
const MEAN_WAIT_US_MAX = 500;
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
    ...{ memoryBytes, workingSetBytes, cpus, pattern },
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
  if (SCALE === 1) expect(faultWaitUs.mean).toBeLessThan(MEAN_WAIT_US_MAX);
  // A process's own buffers weigh more against a small guest.
  if (SCALE === 1) expect(memory.sumPeakBytes).toBeLessThan(pages.sent * PAGE_SIZE * MEMORY_MAX);
});

/** Moves the VM on, with its work under way, and checks all of it there. */
async function moveOn(from: LoadedVm): Promise<LoadedVm> {
  const to = await startDestination();
  const summary = await from.vm.client.migrate(to.address, () => {});
  expect(summary).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect((await from.vm.ended).code).toBe(0);
  const guest = await to.vm.guest();
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  await work(guest);
  return { vm: to.vm, guest };
}

test('a VM moves on from where it has come, three times', async () => {
  let at = await startSource({ cpus: 2, fillMib: 32 });
  for (let hop = 0; hop < 3; hop++) {
    at = await moveOn(at);
    const { accesses } = await at.guest.report();
    expect(accesses).toBeGreaterThan(0);
    expect(await at.vm.client.status()).toMatchObject({ state: 'running', memoryBytes: 128 * MIB, cpus: 2 });
  }
  await at.vm.client.stop({ force: true });
  expect(await at.vm.ended).toMatchObject({ code: 0, signal: null });
});

test('more vCPUs than the host may have cores', async () => {
  const moved = await moveOn(await startSource({ cpus: 4, fillMib: 32 }));
  expect((await moved.vm.client.status()).cpus).toBe(4);
  // Raised while its pages came, they are ordinary threads again.
  for (let cpu = 0; cpu < 4; cpu++) {
    expect(threadNices(moved.vm.pid, `vcpu${cpu}`)).toEqual([getPriority(process.pid)]);
  }
});

test('an idle guest that has not been given anything to do', async () => {
  const source = await startSource({ fillMib: 0 });
  const to = await startDestination();
  const summary = await source.vm.client.migrate(to.address, () => {});
  expect(summary.status).toBe('completed');
  expect(summary.pages.absent).toBeGreaterThan(summary.pages.sent);
  await (await to.vm.guest()).command('echo still-there', 'echo');
});

test('RAM on both sides of the 3 GiB hole', async () => {
  // Only pages below the hole are filled; those above it are looked at: never written, they are not sent.
  const moved = await moveOn(await startSource({ memory: '5G', fillMib: 32 }));
  expect((await moved.vm.client.status()).memoryBytes).toBe(5 * 1024 * MIB);
});

test('progress is told while it runs, and leads to the end', async () => {
  const source = await startSource({ fillMib: 64 });
  const to = await startDestination();
  const phases: string[] = [];
  const left: number[] = [];
  const summary = await source.vm.client.migrate(to.address, (progress) => {
    if (phases.at(-1) !== progress.phase) phases.push(progress.phase);
    left.push(progress.pagesLeft);
  });
  const order = ['connecting', 'preparing', 'handing-over', 'pulling', 'complete'];
  expect(phases.map((phase) => order.indexOf(phase))).toEqual(phases.map((phase) => order.indexOf(phase)).sort());
  expect(phases.at(-1)).toBe('complete');
  expect(left.at(-1)).toBe(0);
  expect(summary.totalMs).toBeGreaterThan(summary.downtimeMs);
});
