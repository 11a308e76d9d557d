/** A paused VM moves, and stays paused: there, or here if it does not move. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { FakeDestination } from '../support/fake-peers.js';
import { EXIT_FAILED, migrate, openLink, springOf } from '../support/failing-link.js';
import { answers, startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';
import type { SpawnedVm } from '../../src/trial/spawned-vm.js';

useCleanRoom();

const PUSHED = 1 << 20;
const EXIT_REFUSED = 10;
const EXIT_WRONG_STATE = 11;
const ANSWER_MS = 20_000;
/** A guest that runs answers within milliseconds, on a busy host too. */
const NO_ANSWER_MS = 300;

async function pausedSource(): Promise<LoadedVm> {
  const source = await startSource({ memory: '64M', fillMib: 16, cpus: 2 });
  await source.vm.client.pause();
  return source;
}

async function standsStill(vm: SpawnedVm): Promise<void> {
  expect(await vm.client.status()).toMatchObject({ state: 'paused' });
  expect(await answers(vm, NO_ANSWER_MS)).toBe(false);
}

test('it does not run until it is resumed, and can be moved on before', async () => {
  const [from, first, second] = await Promise.all([pausedSource(), startDestination(), startDestination('other')]);
  for (const [{ vm }, to] of [[from, first] as const, [first, second] as const]) {
    const summary = await vm.client.migrate(to.address, () => {});
    expect(summary).toMatchObject({ status: 'completed', pages: { demanded: 0, resent: 0 } });
    // Not since it was paused.
    expect(summary.downtimeMs).toBeLessThan(summary.totalMs);
    expect(summary.downtimeMs).toBeGreaterThan(0);
    expect((await vm.ended).code).toBe(0);
    await standsStill(to.vm);
  }
  const stopped = await postcopy(['stop', 'other'], { runtimeDirectory: second.vm.runtimeDirectory });
  expect(stopped.code).toBe(EXIT_WRONG_STATE);
  await second.vm.client.resume();
  const guest = await second.vm.guest();
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  await work(guest);
  expect((await guest.report()).tsc_backwards).toBe(0);
});

test('it can be resumed while its pages still come', async () => {
  const [from, { vm, address }] = await Promise.all([pausedSource(), startDestination()]);
  // The push takes longer than all else here, and what is on its way arrives all the same: the guest may need that.
  const moving = migrate(from, address, ['--bandwidth', '256K']);
  const { arrival } = await vm.reach('paused');
  expect(arrival?.pagesMissing).toBeGreaterThan(0);
  await standsStill(vm);
  await vm.client.resume();
  expect(await answers(vm, ANSWER_MS)).toBe(true);
  const status = await vm.client.status();
  expect(status.state).toBe('running');
  expect(status.arrival?.pagesMissing).toBeGreaterThan(0);
  await from.vm.client.limit({ bandwidth: null });
  const end = await moving;
  expect(end.code, end.stderr).toBe(0);
  expect(await vm.client.status()).toMatchObject({ state: 'running' });
  expect(await verifyWhole(await vm.guest())).toBeGreaterThan(0);
});

test('a link that breaks while its pages come leaves it paused, and all of it comes', async () => {
  const [from, link] = await Promise.all([pausedSource(), openLink()]);
  link.proxy.onPushed(PUSHED, springOf('cut', link, from));
  const end = await migrate(from, link.proxy.address);
  expect(end.code, end.stderr).toBe(0);
  await standsStill(link.destination.vm);
  await link.destination.vm.client.resume();
  expect(await verifyWhole(await link.destination.vm.guest())).toBeGreaterThan(0);
  await link.proxy.close();
});

test.each(['loaded', 'commit'] as const)('%s does not arrive: it is paused at the source', async (message) => {
  const [from, link] = await Promise.all([pausedSource(), openLink()]);
  link.proxy.onMessage(message, 'before', springOf('cut', link, from));
  const end = await migrate(from, link.proxy.address);
  expect(end.code, end.stderr).toBe(EXIT_FAILED);
  expect(complaints(end)).toEqual([expect.stringMatching(/^postcopy: the migration failed, vm is paused here/)]);
  await standsStill(from.vm);
  await from.vm.client.resume();
  expect(await verifyWhole(from.guest)).toBeGreaterThan(0);
  await link.proxy.close();
});

test('a destination of version 7, which would run it, does not get it', async () => {
  const from = await pausedSource();
  const fake = await FakeDestination.open(async () => {}, { version: 7 });
  const end = await migrate(from, fake.address);
  expect(end.code, end.stderr).toBe(EXIT_REFUSED);
  expect(complaints(end)).toEqual([expect.stringMatching(/older release.*resume it first/)]);
  await standsStill(from.vm);
});
