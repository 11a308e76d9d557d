/** Migrations that somebody calls off, in each phase. */
import { describe, expect, test } from 'vitest';
import { Deferred } from '../../src/basics/deferred.js';
import type { MessageType } from '../../src/migrate/wire/message.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { complaints, postcopy, startPostcopy, type CommandEnd, type RunningCommand } from '../support/postcopy.js';

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

describe('Ctrl-C of the command', () => {
  const EXIT_SIGINT = 130;
  const CANCELLING = 'cancelling the migration of vm';

  /** As the message is about to pass, which waits for the command's end; what that was. */
  async function interruptedAt(
    message: MessageType,
    source: LoadedVm,
    proxy: CuttingProxy,
    interrupt: (command: RunningCommand) => unknown = (command) => command.kill('SIGINT'),
  ): Promise<CommandEnd> {
    const { host, port } = proxy.address;
    const { runtimeDirectory } = source.vm;
    const started = new Deferred<RunningCommand>();
    proxy.onMessage(message, 'before', async () => {
      const command = await started.promise;
      await interrupt(command);
      await command.ended;
    });
    const command = startPostcopy(['migrate', 'vm', `${host}:${port}`], { runtimeDirectory });
    started.resolve(command);
    return command.ended;
  }

  test('before the hand-over cancels the migration, in each phase, and says so', async () => {
    const source = await startSource({ memory: '64M', fillMib: 4 });
    const destination = await startDestination();
    for (const message of ['hello', 'accept', 'ram'] as const) {
      await destination.vm.reach('waiting');
      const proxy = await CuttingProxy.open(destination.address);
      const end = await interruptedAt(message, source, proxy);
      expect(end.code, end.stderr).toBe(EXIT_SIGINT);
      expect(complaints(end), message).toEqual([
        expect.stringContaining(CANCELLING),
        'postcopy: the migration failed, vm runs on here: it was cancelled',
      ]);
      await proxy.close();
    }
    await goesOn(source);
  });

  test('after it says that it is too late, and where to look; the VM arrives', async () => {
    const [source, destination] = await Promise.all([startSource({ memory: '64M' }), startDestination()]);
    const end = await interruptedAt('running', source, await CuttingProxy.open(destination.address));
    expect(end.code, end.stderr).toBe(EXIT_SIGINT);
    expect(complaints(end)).toEqual([
      expect.stringContaining(CANCELLING),
      expect.stringMatching(/too late to cancel: vm has been handed over, .*`postcopy status vm` shows how far it is/),
    ]);
    expect((await source.vm.ended).code).toBe(0);
    expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
  });

  test('again leaves at once, and claims nothing', async () => {
    const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), startDestination()]);
    const proxy = await CuttingProxy.open(destination.address);
    const end = await interruptedAt('hello', source, proxy, async (command) => {
      source.vm.kill('SIGSTOP');
      command.kill('SIGINT');
      await command.says(CANCELLING);
      command.kill('SIGINT');
    });
    source.vm.kill('SIGCONT');
    expect(end.code, end.stderr).toBe(EXIT_SIGINT);
    expect(complaints(end).at(-1)).toMatch(
      /left: whether the migration could still be cancelled, `postcopy status vm`/,
    );
    await source.vm.reach('running');
  });
});
