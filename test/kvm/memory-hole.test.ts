import { expect, test } from 'vitest';
import { MIB } from '../../src/memory/page-size.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';

useCleanRoom();

test('RAM on both sides of the 3 GiB hole', async () => {
  // Only pages below the hole are filled; those above it are looked at: never written, they are not sent.
  const source = await startSource({ memory: '5G', fillMib: 32 });
  const to = await startDestination();
  const summary = await source.vm.client.migrate(to.address, () => {});
  expect(summary).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
  expect((await to.vm.client.status()).memoryBytes).toBe(5 * 1024 * MIB);
});
