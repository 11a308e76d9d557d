/** `migrate --dry-run`: all that comes before the guest is stopped, and both ends as they were. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { migrate } from '../support/failing-link.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';
import { makeRawImage } from '../support/raw-image.js';

useCleanRoom();

const EXIT_UNREACHABLE = 8;
const EXIT_REFUSED = 10;
const DRY = ['--dry-run'];

test('says what was found, and the VM moves then as if nothing had been', async () => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), startDestination()]);
  const { host, port } = destination.address;
  const { runtimeDirectory } = source.vm;
  const end = await postcopy(['migrate', 'vm', `${host}:${port}`, ...DRY], { runtimeDirectory });
  expect(end.code, end.stderr).toBe(0);
  expect(end.stdout).toMatch(/^vm could move to .* now: nothing stands against it/);
  expect(end.stdout.split('\n').map((line) => line.split('  ')[0])).toEqual(
    expect.arrayContaining(['release there', 'machine', 'kernel', 'memory there', 'page channels', 'to be moved']),
  );
  // At once: nothing of the trial is left there when the command is over.
  expect(await destination.vm.client.status()).toMatchObject({ state: 'waiting', memoryBytes: 0, cpus: 0 });
  const after = await source.vm.client.status();
  expect([after.state, after.problem]).toEqual(['running', undefined]);

  await source.vm.client.pause();
  const again = await migrate(source, destination.address, DRY);
  expect(JSON.parse(again.stdout)).toMatchObject({ status: 'dry-run', downtimeMs: 0, pages: { sent: 0 } });
  expect(await source.vm.client.status()).toMatchObject({ state: 'paused' });
  await source.vm.client.resume();

  expect((await migrate(source, destination.address)).code).toBe(0);
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
  expect((await source.vm.ended).code).toBe(0);
});

test('what stands against the move has its exit code, with the reasons', async () => {
  const disk = makeRawImage();
  const source = await startSource({
    memory: '64M',
    fillMib: 0,
    words: ['--serial', 'null', '--disk', `path=${disk}`],
  });
  const destination = await startDestination();
  const refused = await migrate(source, destination.address, DRY);
  expect(refused.code, refused.stderr).toBe(EXIT_REFUSED);
  expect(complaints(refused)[0]).toMatch(/vm runs on here: .* refuses the VM: .*disk/);
  await destination.vm.reach('waiting');
  await destination.vm.client.stop({ force: true });
  await destination.vm.ended;
  const nobody = await migrate(source, destination.address, DRY);
  expect(nobody.code, nobody.stderr).toBe(EXIT_UNREACHABLE);
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
});

test('is cancelled as a migration is', async () => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 0 }), startDestination()]);
  const proxy = await CuttingProxy.open(destination.address);
  const cancelled = new Promise<void>((resolve, reject) => {
    proxy.onMessage('accept', 'before', () => source.vm.client.cancelMigration().then(resolve, reject));
  });
  const { host, port } = proxy.address;
  const summary = await source.vm.client.migrate({ host, port, dryRun: true }, () => {});
  await cancelled;
  expect(summary).toMatchObject({ status: 'failed', error: { message: 'it was cancelled' } });
  await destination.vm.reach('waiting');
});
