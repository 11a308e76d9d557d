/** A package that is replaced on disk while VMs of it run: they go on with the code that they have begun with. */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, work } from '../support/guest-vms.js';
import { copyPackage, ofPackage } from '../support/package-copy.js';

useCleanRoom();

test('a VM whose package is gone resets its guest, moves, comes, and moves again', async () => {
  const copy = copyPackage();
  const launcher = ofPackage(copy);
  const [{ vm, guest }, middle, last] = await Promise.all([
    startSource({ fillMib: 0, reboot: true, launcher }),
    startDestination('vm', [], launcher),
    startDestination(),
  ]);
  // Whatever is read of it from here on fails.
  rmSync(copy, { recursive: true });

  await guest.command('reset_machine', 'ready');
  await guest.synchronize();
  await guest.command('fill mib=4', 'filled');
  await work(guest);
  const first = await vm.client.migrate({ ...middle.address, channels: 3 }, () => {});
  expect(first).toMatchObject({ status: 'completed' });
  expect(await verifyWhole(await middle.vm.guest())).toBeGreaterThan(0);

  const second = await middle.vm.client.migrate(last.address, () => {});
  expect(second).toMatchObject({ status: 'completed' });
  const moved = await last.vm.guest();
  expect(await verifyWhole(moved)).toBeGreaterThan(0);
});
