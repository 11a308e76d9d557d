/** How a guest ends, or is held up: what is said, with which exit code, and what can be done meanwhile. */
import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import { expect, onTestFinished, test, vi } from 'vitest';
import { GuestConsole } from '../../src/trial/guest-console.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { answers, startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';

const room = useCleanRoom();

const NO_ANSWER_MS = 500;
const PATIENCE = { timeout: 30_000 };

test('power-off', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  guest.send('poweroff');
  expect(await vm.ended).toMatchObject({
    code: 0,
    signal: null,
    stderr: expect.stringContaining('powered itself off'),
  });
});

test('reset with --no-reboot', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  guest.send('reset_machine');
  expect(await vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('asked for a reset') });
});

test('a kernel that panics: told, in the status, and known where the VM moves to', async () => {
  const { vm, guest } = await startSource({ fillMib: 0 });
  expect((await vm.client.status()).panickedAt).toBeUndefined();
  await guest.command('panic', 'panic');
  await guest.synchronize();
  await vi.waitFor(async () => expect((await vm.client.status()).panickedAt).toBeGreaterThan(0), PATIENCE);
  const { panickedAt } = await vm.client.status();
  const to = await startDestination();
  expect((await vm.client.migrate(to.address, () => {})).status).toBe('completed');
  expect(await to.vm.client.status()).toMatchObject({ state: 'running', panickedAt });
  await to.vm.client.stop({ force: true });
  expect((await vm.ended).stderr).toContain('the kernel of the guest of vm has panicked');
});

test('reset: the guest starts again, with fresh memory, on the same console', async () => {
  const { vm, guest } = await startSource({ fillMib: 4, reboot: true });
  await guest.command('reset_machine', 'ready');
  await guest.synchronize();
  // Nothing is filled: it does not remember.
  await expect(guest.command('start', 'started')).rejects.toThrow('fill first');
  expect(await vm.client.status()).toMatchObject({ state: 'running' });
  await vm.client.stop({ force: true });
  expect((await vm.ended).stderr).toContain('starts again');
});

test('a guest that has moved resets: it starts again where it is', async () => {
  const { vm } = await startSource({ fillMib: 4, reboot: true });
  const to = await startDestination();
  expect((await vm.client.migrate(to.address, () => {})).status).toBe('completed');
  const moved = await to.vm.guest();
  await moved.command('reset_machine', 'ready');
  await moved.synchronize();
  expect((await moved.command('fill mib=4', 'filled'))['pages']).toBe(1024);
  expect(await verifyWhole(moved)).toBe(1024);
  await to.vm.client.stop({ force: true });
  expect((await to.vm.ended).stderr).toContain('starts again');
});

const PUSH_HELD_MS = 2000;
const EXIT_LOST = 13;

test('stop --force where the pages are still to come: over there, and the source, which keeps them, says why', async () => {
  const source = await startSource({ fillMib: 32 });
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  proxy.onPushed(1 << 20, () => delay(PUSH_HELD_MS));
  const moving = source.vm.client.migrate(proxy.address, () => {});
  await to.vm.reach('running');
  await to.vm.client.stop({ force: true });
  expect((await moving).status).toBe('link-lost');
  expect(await to.vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('was stopped') });
  expect(await source.vm.client.status()).toMatchObject({
    state: 'link-lost',
    problem: expect.stringMatching(
      /\(the destination gave up: the destination was stopped\).* until it is stopped by force/,
    ),
  });
  await source.vm.client.stop({ force: true });
  expect(await source.vm.ended).toMatchObject({ code: EXIT_LOST, stderr: expect.stringContaining('from its disks') });
  await proxy.close();
});

test('all vCPUs halted for good: the VM is still there, can be paused, moved and stopped', async () => {
  const { vm, guest } = await startSource({ fillMib: 4, cpus: 2 });
  await guest.command('hlt', 'hlt');
  await vm.client.pause();
  await vm.client.resume();
  const to = await startDestination();
  expect((await vm.client.migrate(to.address, () => {})).status).toBe('completed');
  expect(await to.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await answers(to.vm, NO_ANSWER_MS)).toBe(false);
  await to.vm.client.stop({ force: true });
  expect((await to.vm.ended).code).toBe(0);
});

test('pause and resume', async () => {
  const { vm, guest } = await startSource({ cpus: 2 });
  const { runtimeDirectory } = vm;
  expect(await postcopy(['pause', 'vm'], { runtimeDirectory })).toMatchObject({ code: 0, stderr: '' });
  expect(await vm.client.status()).toMatchObject({ state: 'paused' });
  await vm.client.pause(); // again changes nothing
  expect(await answers(vm, NO_ANSWER_MS)).toBe(false);

  await vm.client.resume();
  expect(await vm.client.status()).toMatchObject({ state: 'running' });
  expect(await answers(vm, 5000)).toBe(true);
  const { accesses, tsc_backwards: backwards } = await guest.report();
  expect(accesses).toBeGreaterThan(0);
  expect(backwards).toBe(0);
  expect(await verifyWhole(guest)).toBeGreaterThan(0);
});

test('pause and migrate at once: the VM moves, and is paused there if that came first', async () => {
  const { vm } = await startSource();
  const there = await startDestination();
  const [paused, summary] = await Promise.allSettled([vm.client.pause(), vm.client.migrate(there.address, () => {})]);
  expect(summary).toMatchObject({ status: 'fulfilled', value: { status: 'completed' } });
  const state = paused.status === 'fulfilled' ? 'paused' : 'running';
  expect(await there.vm.client.status()).toMatchObject({ state });
  await there.vm.client.resume();
  expect(await verifyWhole(await there.vm.guest())).toBeGreaterThan(0);
});

test('stop by signal', async () => {
  const { vm } = await startSource();
  vm.kill('SIGTERM');
  expect(await vm.ended).toMatchObject({ code: 0, signal: null });
});

async function heardOn(stream: Duplex, text: string): Promise<string> {
  let heard = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    heard += (chunk as Buffer).toString('latin1');
    if (heard.includes(text)) return heard;
  }
  throw new Error(`the console closed; heard only ${heard}`);
}

test('two consoles see the same, the later one also what was before', async () => {
  const { vm } = await startSource({ fillMib: 0 });
  const first = await vm.client.console();
  const second = await vm.client.console();
  const both = Promise.all([heardOn(first, '"text":"for-both"'), heardOn(second, '"text":"for-both"')]);
  first.write('echo for-both\n');
  for (const heard of await both) expect(heard).toContain('"event":"ready"');
  first.destroy();
  const alone = heardOn(second, '"text":"for-the-second"');
  second.write('echo for-the-second\n');
  await alone;
  second.destroy();
});

test('--serial unix: and file:', async () => {
  const path = join(room, 'serial.sock');
  const { vm } = await startSource({ fillMib: 0, words: ['--serial', `unix:${path}`] });
  const stream = connect(path);
  const guest = new GuestConsole(stream);
  await guest.synchronize();
  await guest.command('fill mib=1', 'filled');
  guest.close();
  await vm.client.stop({ force: true });
  await vm.ended;

  const log = join(room, 'serial.log');
  onTestFinished(() => rmSync(log));
  const logged = await startSource({ fillMib: 1, words: ['--serial', `file:${log}`] });
  logged.guest.send('poweroff');
  await logged.vm.ended;
  const lines = readFileSync(log, 'utf8').split('\n');
  expect(lines[0]).toMatch(/^\{"event":"ready","cpus":1,/);
  expect(lines).toContain('{"event":"poweroff"}');
});
