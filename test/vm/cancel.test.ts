/** Migrations that somebody calls off, in each phase. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';

useCleanRoom();

const EXIT_FAILED = 12;
const EXIT_WRONG_STATE = 11;

function run(source: LoadedVm, words: string[]) {
  return postcopy(words, { runtimeDirectory: source.vm.runtimeDirectory });
}

/** The guest has gone on here, and moves when it is asked to. */
async function goesOn(source: LoadedVm): Promise<void> {
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  await work(source.guest);
  const to = await startDestination();
  expect((await source.vm.client.migrate(to.address, () => {})).status).toBe('completed');
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
}

test.each(['hello', 'accept', 'ram'] as const)(
  'while %s is under way: the guest goes on here, and the command says why',
  async (message) => {
    const [source, destination] = await Promise.all([startSource({ fillMib: 16 }), startDestination()]);
    const proxy = await CuttingProxy.open(destination.address);
    // The message waits for the answer, so that the migration cannot get on meanwhile.
    const cancelled = new Promise<void>((resolve, reject) => {
      proxy.onMessage(message, 'before', () => source.vm.client.cancelMigration().then(resolve, reject));
    });
    const { host, port } = proxy.address;
    const migrated = await run(source, ['migrate', 'vm', `${host}:${port}`]);
    await cancelled;
    expect(migrated.code).toBe(EXIT_FAILED);
    expect(complaints(migrated)).toEqual(['postcopy: the migration failed, vm runs on here: it was cancelled']);
    await goesOn(source);
  },
);

test('while it connects to somebody who does not answer', async () => {
  const source = await startSource();
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  proxy.silence();
  const migration = source.vm.client.migrate(proxy.address, () => {});
  await source.vm.reach('migrating');
  await source.vm.client.cancelMigration();
  expect(await migration).toMatchObject({
    status: 'failed',
    error: { code: 'MIGRATION_FAILED', message: 'it was cancelled' },
  });
  await goesOn(source);
});

test('after COMMIT it is too late: refused at once, with the reason, and the VM arrives', async () => {
  const [source, destination] = await Promise.all([startSource({ fillMib: 16 }), startDestination()]);
  const proxy = await CuttingProxy.open(destination.address);
  const refused = new Promise<unknown>((resolve) => {
    // RUNNING waits: the migration is as far as COMMIT, and no farther.
    proxy.onMessage('running', 'before', () => source.vm.client.cancelMigration().catch(resolve));
  });
  const summary = await source.vm.client.migrate(proxy.address, () => {});
  expect(await refused).toMatchObject({
    code: 'WRONG_STATE',
    message: 'vm has been handed over already, and cannot be kept here',
  });
  expect(summary.status).toBe('completed');
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});

test('where there is none: refused', async () => {
  const source = await startSource({ fillMib: 0 });
  const end = await run(source, ['cancel', 'vm']);
  expect(end.code).toBe(EXIT_WRONG_STATE);
  expect(complaints(end)).toEqual(['postcopy: vm is not migrating']);
});
