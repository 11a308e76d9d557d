/** A migration whose rate is limited, and changed while it runs. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { postcopy, startPostcopy } from '../support/postcopy.js';

useCleanRoom();

/** At the least limit that takes longer than any test. */
const FILL_MIB = 64;
const LIMIT = '64K';
const LIMIT_BYTES = 64 * 1024;

test('the push keeps to the limit, while the guest runs there; without one the rest moves at once', async () => {
  const [source, destination] = await Promise.all([startSource({ fillMib: 0 }), startDestination()]);
  await source.guest.command(`fill mib=${FILL_MIB}`, 'filled');
  const { runtimeDirectory, client } = source.vm;
  const { host, port } = destination.address;
  const words = ['migrate', 'vm', `${host}:${port}`, '--channels', '2', '--bandwidth', LIMIT, '--json'];
  const migration = startPostcopy(words, { runtimeDirectory });
  await source.vm.reach('handed-over');
  const guest = await destination.vm.guest(); // which answers there
  const { migration: progress } = await client.status();
  expect(progress).toMatchObject({ bandwidth: LIMIT_BYTES });
  expect(progress!.pagesLeft).toBeGreaterThan(0);
  // It would be refused if the VM had moved.
  expect(await postcopy(['limit', 'vm', 'none'], { runtimeDirectory })).toMatchObject({ code: 0 });
  const { code, stdout } = await migration.ended;
  expect(code).toBe(0);
  const summary = JSON.parse(stdout) as object;
  expect(summary).toMatchObject({ status: 'completed' });
  expect(summary).not.toHaveProperty('bandwidth');
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
});
