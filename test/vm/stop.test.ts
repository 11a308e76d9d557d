/** `postcopy stop`: the guest is asked by its power button, or its power is cut. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';

useCleanRoom();

const EXIT = { noSuchVm: 6, wrongState: 11, failed: 12, noReaction: 15 };

test('the guest shuts down, and its name is free then', async () => {
  const { vm } = await startSource();
  const { runtimeDirectory } = vm;
  expect(await postcopy(['stop', 'vm'], { runtimeDirectory })).toMatchObject({ code: 0, stderr: '' });
  expect(existsSync(join(runtimeDirectory, 'vm.lock'))).toBe(false);
  expect(await vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('powered itself off') });
});

test('a guest that does not react runs on until its power is cut', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  const { runtimeDirectory } = vm;
  await guest.command('hlt', 'hlt');
  const late = await postcopy(['stop', 'vm', '--timeout', '1'], { runtimeDirectory });
  expect(late.code).toBe(EXIT.noReaction);
  expect(complaints(late)).toEqual([expect.stringMatching(/^postcopy: the guest of vm .* after 1 s .*--force/)]);
  expect(await vm.client.status()).toMatchObject({ state: 'running' });
  expect(await postcopy(['stop', 'vm', '--force'], { runtimeDirectory })).toMatchObject({ code: 0, stderr: '' });
  expect(await vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('was stopped') });
});

test('a paused guest cannot react; resumed it can', async () => {
  const { vm } = await startSource({ fillMib: 0 });
  const { runtimeDirectory } = vm;
  await vm.client.pause();
  const refused = await postcopy(['stop', 'vm'], { runtimeDirectory });
  expect(refused.code).toBe(EXIT.wrongState);
  expect(complaints(refused)).toEqual([expect.stringMatching(/^postcopy: vm is paused.*--force/)]);
  await vm.client.resume();
  expect((await postcopy(['stop', 'vm'], { runtimeDirectory })).code).toBe(0);
  expect((await vm.ended).code).toBe(0);
});

test('where no VM has come there is no guest to ask', async () => {
  const { vm } = await startDestination();
  const { runtimeDirectory } = vm;
  expect((await postcopy(['stop', 'vm'], { runtimeDirectory })).code).toBe(0);
  expect(await vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('was stopped') });
});

test('while a migration is being prepared: the guest shuts down here, the destination goes away', async () => {
  const source = await startSource();
  const { runtimeDirectory } = source.vm;
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  // The source does not hear of the ACCEPT before the guest is gone.
  const accepted = new Promise<void>((resolve) => {
    proxy.onMessage('accept', 'before', () => {
      resolve();
      return source.vm.ended.then(() => undefined);
    });
  });
  const { host, port } = proxy.address;
  const migration = postcopy(['migrate', 'vm', `${host}:${port}`], { runtimeDirectory });
  await accepted;
  expect(await postcopy(['stop', 'vm'], { runtimeDirectory })).toMatchObject({ code: 0, stderr: '' });
  const powerOff = expect.stringContaining('powered itself off');
  const ended = expect.stringContaining('the migration failed, and vm has ended here: the guest powered itself off');
  expect(await migration).toMatchObject({ code: EXIT.noSuchVm, stderr: ended });
  expect(await source.vm.ended).toMatchObject({ code: 0, stderr: powerOff });
  await to.vm.reach('waiting');
  await proxy.close();
});

const PUSH_HELD_MS = 2000;

test('while its pages still arrive: the guest shuts down, and both sides end well', async () => {
  const source = await startSource({ fillMib: 32 });
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  proxy.onPushed(1 << 20, () => delay(PUSH_HELD_MS));
  const migration = source.vm.client.migrate(proxy.address, () => {});
  await to.vm.reach('running');
  const stopped = to.vm.client.stop();
  expect((await migration).status).toBe('completed');
  await stopped;
  expect(await source.vm.ended).toMatchObject({ code: 0 });
  expect(await to.vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('powered itself off') });
  await proxy.close();
});
