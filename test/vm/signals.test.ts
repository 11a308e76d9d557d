/** Signals to a process that holds pages which are nowhere else: none of them ends it. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';

useCleanRoom();

/** Long enough for what is done meanwhile on a busy host; a cut ends it. */
const PUSH_HELD_MS = 5000;
const HELD_UNTIL_CUT_MS = 60_000;

/** The guest runs at the destination, and most of its pages are still to come. */
async function handedOver(heldMs: number) {
  const source = await startSource({ fillMib: 32 });
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  proxy.onPushed(1 << 20, () => delay(heldMs, undefined, { ref: false }));
  const migration = source.vm.client.migrate(proxy.address, () => {});
  await Promise.all([source.vm.reach('handed-over'), to.vm.reach('running')]);
  return { source, to, proxy, migration };
}

test('the source, from which pages are still pulled: the guest arrives whole', async () => {
  const { source, to, proxy, migration } = await handedOver(PUSH_HELD_MS);
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) {
    source.vm.kill(signal);
    await delay(100); // two of a kind at one time are one
  }
  expect((await migration).status).toBe('completed');
  const { code, stderr } = await source.vm.ended;
  expect(code).toBe(0);
  expect(stderr.match(/does not end by a signal: it runs at .*postcopy status vm/g)).toHaveLength(5);
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
  await to.vm.client.stop({ force: true });
  await proxy.close();
});

test('both halves after a lost link stay until they are told by force', async () => {
  const { source, to, proxy, migration } = await handedOver(HELD_UNTIL_CUT_MS);
  proxy.cut();
  expect((await migration).status).toBe('link-lost');
  await to.vm.reach('link-lost');
  for (const { vm } of [source, to]) {
    vm.kill('SIGTERM');
    await delay(100);
    vm.kill('SIGTERM');
    await delay(100);
    expect((await vm.client.status()).state).toBe('link-lost');
    await vm.client.stop({ force: true });
    expect(await vm.ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/does not end by a signal: what/) });
  }
  await proxy.close();
});
