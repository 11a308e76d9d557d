/** A guest that is watched before it is stopped: it moves with what it has written first, or runs on if it is not to move. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, work } from '../support/guest-vms.js';

useCleanRoom();

test('a guest at work is watched, and called off in that it runs on; watched again, it moves', async () => {
  const source = await startSource({ cpus: 2, fillMib: 16 });
  const to = await startDestination();
  const phases = new Set<string>();
  const calledOff = await source.vm.client.migrate({ ...to.address, watch: 30 }, ({ phase }) => {
    if (phase === 'watching') void source.vm.client.cancelMigration().catch(() => {}); // asked more than once
  });
  expect(calledOff.status).toBe('failed');
  expect(calledOff).not.toHaveProperty('watched');
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  await to.vm.reach('waiting');

  await work(source.guest);
  const summary = await source.vm.client.migrate({ ...to.address, prefetch: 'recent', watch: 1 }, ({ phase }) => {
    phases.add(phase);
  });
  expect(summary, JSON.stringify(summary.error)).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect(phases).toContain('watching');
  expect(summary.watched?.pages).toBeGreaterThan(0);
  expect((await source.vm.ended).code).toBe(0);
  const guest = await to.vm.guest();
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
  await work(guest);
});
