/** Storage that stops answering while a VM moves: the guest stands still for a limited time, and goes on where it was. */
import { expect, test, vi } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { answers, startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { buildHangingStorage } from '../support/hanging-storage.js';
import { complaints, postcopy } from '../support/postcopy.js';
import { makeRawImage } from '../support/raw-image.js';

useCleanRoom();

const EXIT_FAILED = 12;
const ANSWER_MS = 5000;
/** The migration has a disk written back once before it stops the guest. */
const SYNCS_WHILE_IT_RUNS = 1;

test('a lock that the storage does not give while the guest stands still is named, and the guest goes on', async () => {
  const storage = buildHangingStorage();
  const disk = ['--disk', `path=${makeRawImage()},id=root`];
  const source = await startSource({ words: ['--serial', 'null', ...disk] });
  const migrate = (to: { host: string; port: number }) =>
    postcopy(['migrate', 'vm', `${to.host}:${to.port}`], { runtimeDirectory: source.vm.runtimeDirectory });

  for (const [name, value] of Object.entries(storage.env)) vi.stubEnv(name, value);
  const hanging = await startDestination('vm', disk);
  vi.unstubAllEnvs();
  storage.lock.hang();
  const end = await migrate(hanging.address);
  expect(end.code, end.stderr).toBe(EXIT_FAILED);
  expect(complaints(end)).toEqual([
    expect.stringMatching(/vm runs on here: .*disk root: .* is not locked: see whether/),
  ]);
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await answers(source.vm, ANSWER_MS)).toBe(true);
  storage.lock.answer();

  const destination = await startDestination('vm', disk);
  expect((await migrate(destination.address)).code).toBe(0);
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});

test('a disk that is not written back while the guest stands still is named, and the guest goes on', async () => {
  const storage = buildHangingStorage();
  for (const [name, value] of Object.entries(storage.env)) vi.stubEnv(name, value);
  const disk = ['--disk', `path=${makeRawImage()},id=root`];
  const source = await startSource({ words: ['--serial', 'null', ...disk] });
  vi.unstubAllEnvs();
  const migrate = (to: { host: string; port: number }) =>
    postcopy(['migrate', 'vm', `${to.host}:${to.port}`], { runtimeDirectory: source.vm.runtimeDirectory });

  storage.sync.hang(SYNCS_WHILE_IT_RUNS);
  const end = await migrate((await startDestination('vm', disk)).address);
  expect(end.code, end.stderr).toBe(EXIT_FAILED);
  expect(complaints(end)).toEqual([expect.stringMatching(/vm runs on here: disk root: what the guest wrote was not/)]);
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await answers(source.vm, ANSWER_MS)).toBe(true);

  storage.sync.answer();
  const destination = await startDestination('vm', disk);
  expect((await migrate(destination.address)).code).toBe(0);
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});
