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
  // Each end says what hangs on the other.
  const { arrival } = await to.vm.client.status();
  expect(arrival).toMatchObject({ pagesMissing: expect.any(Number), bytesPerSecond: expect.any(Number) });
  expect(arrival?.bytesMissing).toBe(4096 * (arrival?.pagesMissing ?? NaN));
  expect((await source.vm.client.status()).migration?.pagesLeft).toBeGreaterThan(0);
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

test('the source of a broken link stays until it is told by force', async () => {
  const { source, to, proxy, migration } = await handedOver(HELD_UNTIL_CUT_MS);
  const lost = expect(migration).resolves.toMatchObject({ status: 'link-lost' });
  // Nobody connects any more.
  await proxy.close();
  await source.vm.reach('interrupted');
  for (let times = 0; times < 2; times++) {
    source.vm.kill('SIGTERM');
    await delay(100);
  }
  expect((await source.vm.client.status()).state).toBe('interrupted');
  await source.vm.client.stop({ force: true });
  await lost;
  expect((await source.vm.ended).stderr).toMatch(/does not end by a signal: it runs at/);
  await to.vm.client.stop({ force: true });
});
