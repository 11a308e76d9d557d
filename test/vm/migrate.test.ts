/** Guests of every shape move between two processes, once and again, and every page of them is checked. */
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import type { GivenMigrateOptions } from '../../src/migrate/options.js';
import { MIB } from '../../src/memory/page-size.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import {
  startDestination,
  startSource,
  verifyWhole,
  work,
  type LoadedVm,
  type WaitingVm,
} from '../support/guest-vms.js';
import { threadNices } from '../support/thread-nice.js';

useCleanRoom();

/** Moves the VM on, with its work under way, and checks all of it there. */
async function moveOn(from: LoadedVm, to?: WaitingVm, options: GivenMigrateOptions = {}): Promise<LoadedVm> {
  to ??= await startDestination();
  const summary = await from.vm.client.migrate({ ...to.address, ...options }, () => {});
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

test('over several bulk channels, each of which carries pages', async () => {
  const source = await startSource({ cpus: 2, fillMib: 64 });
  const to = await startDestination();
  const proxy = (await CuttingProxy.open(to.address)).holdPushUntil(4);
  const moved = await moveOn(source, { ...to, address: proxy.address }, { channels: 4 });
  expect(proxy.bulkChannels).toBe(4);
  await moveOn(moved, await startDestination(), { channels: 16 });
});

test('an idle guest that has not been given anything to do', async () => {
  const source = await startSource({ fillMib: 0 });
  const to = await startDestination();
  const summary = await source.vm.client.migrate(to.address, () => {});
  expect(summary.status).toBe('completed');
  expect(summary.pages.absent).toBeGreaterThan(summary.pages.sent);
  await (await to.vm.guest()).command('echo still-there', 'echo');
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
  const order = ['writing-back', 'connecting', 'preparing', 'handing-over', 'pulling', 'complete'];
  expect(phases.map((phase) => order.indexOf(phase))).toEqual(phases.map((phase) => order.indexOf(phase)).sort());
  expect(phases.at(-1)).toBe('complete');
  expect(left.at(-1)).toBe(0);
  expect(summary.totalMs).toBeGreaterThan(summary.downtimeMs);
});
