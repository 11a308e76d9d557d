/** Pages that cross before the guest stops: every mode, a guest that is too fast for it, and what fails in a round. */
import { expect, test } from 'vitest';
import type { GivenMigrateOptions } from '../../src/migrate/options.js';
import type { MigrationProgress } from '../../src/migrate/report/summary.js';
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

useCleanRoom();

/** Its time is up in the first round, in which 16 MiB take twice as long. */
const NEVER: GivenMigrateOptions = { mode: 'pre-copy', downtime: 1, timeout: 1, bandwidth: 8 << 20 };
/** Slow enough for somebody to see a round. */
const SLOW: GivenMigrateOptions = { bandwidth: 1 << 20 };

async function moveOn(from: LoadedVm, options: GivenMigrateOptions, to?: WaitingVm) {
  to ??= await startDestination();
  const phases = new Set<string>();
  const told = (progress: MigrationProgress) => void phases.add(progress.phase);
  const summary = await from.vm.client.migrate({ ...to.address, ...options }, told);
  expect(summary, JSON.stringify(summary.error)).toMatchObject({ status: 'completed', mode: options.mode });
  expect((await from.vm.ended).code).toBe(0);
  const guest = await to.vm.guest();
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  await work(guest);
  return { at: { vm: to.vm, guest }, summary };
}

/** The guest runs here, with nothing lost. */
async function goesOn({ vm, guest }: LoadedVm): Promise<void> {
  expect(await vm.client.status()).toMatchObject({ state: 'running' });
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  await work(guest);
}

test('a guest at work moves in both modes, there and back', async () => {
  let at = await startSource({ cpus: 2, fillMib: 16 });
  // However busy the host is, the rounds come to an end.
  const options: GivenMigrateOptions = { channels: 2, timeout: 3, onTimeout: 'stop' };
  for (const mode of ['pre-copy', 'hybrid'] as const) {
    const moved = await moveOn(at, { ...options, mode });
    at = moved.at;
    const { pages, rounds } = moved.summary;
    expect(rounds?.count).toBeGreaterThan(0);
    // All that holds data was copied at least once.
    expect(pages.copied).toBeGreaterThan(16 * 200);
    if (mode === 'pre-copy') expect([pages.demanded, pages.pushed]).toEqual([0, 0]);
  }
});

test('a guest that is too fast stays, or is stopped for it, or leaves the rest behind, as it was said', async () => {
  const source = await startSource({ fillMib: 16 });
  const to = await startDestination();
  const failed = await source.vm.client.migrate({ ...to.address, ...NEVER, onTimeout: 'cancel' }, () => {});
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'MIGRATION_FAILED' } });
  expect(failed.error?.message).toMatch(/pages were still to be sent, too many for a downtime of 1 ms/);
  await goesOn(source);
  await to.vm.client.stop({ force: true });

  const stopped = await moveOn(source, { ...NEVER, onTimeout: 'stop' });
  expect(stopped.summary.pages).toMatchObject({ demanded: 0, pushed: 0 });
  const short = await moveOn(stopped.at, { ...NEVER, onTimeout: 'post-copy' });
  const { demanded, pushed } = short.summary.pages;
  expect(demanded + pushed).toBeGreaterThan(0);
});

test('a paused VM is copied in one round, and is paused there', async () => {
  const source = await startSource({ fillMib: 8 });
  await source.vm.client.pause();
  const to = await startDestination();
  const summary = await source.vm.client.migrate({ ...to.address, mode: 'pre-copy' }, () => {});
  expect(summary).toMatchObject({ status: 'completed', rounds: { count: 1 }, pages: { resent: 0, pushed: 0 } });
  expect(await to.vm.client.status()).toMatchObject({ state: 'paused' });
  await to.vm.client.resume();
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
});

test('a link that breaks behind COMMIT loses nothing, whether pages are left behind or not', async () => {
  let at = await startSource({ fillMib: 16 });
  for (const onTimeout of ['stop', 'post-copy'] as const) {
    const to = await startDestination();
    const proxy = await CuttingProxy.open(to.address);
    proxy.onMessage('running', 'before', () => {
      proxy.cut();
      return 'drop';
    });
    ({ at } = await moveOn(at, { ...NEVER, onTimeout }, { ...to, address: proxy.address }));
    await proxy.close();
  }
});

test('called off in a round, and again when the destination is killed in one, the guest runs on', async () => {
  const source = await startSource({ fillMib: 16 });
  for (const end of ['cancel', 'kill'] as const) {
    const to = await startDestination();
    const migration = source.vm.client.migrate({ ...to.address, mode: 'hybrid', ...SLOW }, ({ phase, round }) => {
      if (phase !== 'copying' || round?.number !== 1) return;
      if (end === 'kill') process.kill(to.vm.pid, 'SIGKILL');
      else void source.vm.client.cancelMigration().catch(() => {}); // asked more than once
    });
    expect((await migration).status).toBe('failed');
    await goesOn(source);
    if (end === 'cancel') await to.vm.reach('waiting');
  }
  await moveOn(source, { mode: 'hybrid' });
});
