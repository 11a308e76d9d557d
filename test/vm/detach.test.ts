/** `run --detach` and `receive --detach`: VMs that outlive the command that started them. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { VmClient } from '../../src/control/client.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { GuestConsole } from '../../src/trial/guest-console.js';
import { useCleanRoom } from '../support/clean-room.js';
import { MACHINE } from '../support/machine.js';
import { complaints, postcopy } from '../support/postcopy.js';
import { SCALE } from '../support/scale.js';

const room = useCleanRoom();
const runtime = join(room, 'run');

const EXIT = { usage: 2, badKernel: 4, nameInUse: 5, addressInUse: 7 };

/** What is said of a guest whose last exception nothing handles. */
const GIVEN_UP =
  MACHINE === 'kvm'
    ? /^postcopy: the guest cannot go on: .*triple fault/m
    : /^postcopy: the guest cannot go on: .*exception 6 /m;

function run(name: string, ...words: string[]): string[] {
  return ['run', '--name', name, '--memory', '64M', '--cpus', '1', '--detach', '--kernel', guestBinary(), ...words];
}

function receive(name: string, listen: string): string[] {
  return ['receive', '--name', name, '--listen', listen, '--detach'];
}

function clientOf(name: string): VmClient {
  const client = new VmClient(name, join(runtime, `${name}.sock`));
  onTestFinished(async () => {
    await client.stop({ force: true }).catch(() => {}); // it has ended, if all went well
    await client.close();
  });
  return client;
}

function left(): string[] {
  return existsSync(runtime) ? readdirSync(runtime) : [];
}

/** Field 6 of /proc/PID/stat, proc(5). */
function sessionOf(pid: number): number {
  const [, rest] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  return Number(rest!.split(' ')[3]);
}

test('a VM runs in a session of its own; console and stop reach it', async () => {
  expect(await postcopy(run('vm'))).toEqual({ code: 0, stdout: '', stderr: '' });
  const client = clientOf('vm');
  const { pid, state } = await client.status();
  expect(state).toBe('running');
  expect(sessionOf(pid)).toBe(pid);
  expect(left().sort()).toEqual([expect.stringMatching(/^\.ram-/), 'vm.lock', 'vm.log', 'vm.sock']);
  const guest = new GuestConsole(await client.console());
  await guest.synchronize();
  guest.close();
  expect(await postcopy(['stop', 'vm'])).toMatchObject({ code: 0, stderr: '' });
  expect(left()).toEqual([]);
});

test('a VM that failed leaves its log', async () => {
  await postcopy(run('vm', '--cmdline', 'run=spin,ms=1000;triple_fault'));
  const client = clientOf('vm');
  await expect.poll(() => client.status().catch(() => 'gone'), { timeout: 20_000 * SCALE }).toBe('gone');
  await expect.poll(left, { timeout: 5000 * SCALE }).toEqual(['vm.log']);
  expect(readFileSync(join(runtime, 'vm.log'), 'utf8')).toMatch(GIVEN_UP);
  rmSync(join(runtime, 'vm.log'));
});

test.each([
  ['no kernel', [...run('vm').slice(0, -1), join(room, 'none')], EXIT.badKernel, /cannot read kernel/],
  ['a terminal', run('vm', '--serial', 'stdio'), EXIT.usage, /^postcopy: serial: .*without --detach/],
])('%s: the error and the exit code of the foreground', async (_what, words, code, why) => {
  const end = await postcopy(words);
  expect(end.code).toBe(code);
  expect(complaints(end)).toEqual([expect.stringMatching(why)]);
  expect(left()).toEqual([]);
});

test('receive returns when it listens, and a VM moves from one background process to another', async () => {
  const waits = await postcopy(receive('there', '127.0.0.1:0'));
  expect(waits.code).toBe(0);
  const address = /^postcopy: there waits for a VM on (127\.0\.0\.1:\d+)\n$/.exec(waits.stderr)![1]!;
  const there = clientOf('there');
  expect(await there.status()).toMatchObject({ state: 'waiting' });

  const taken = await postcopy(receive('other', address));
  expect(taken.code).toBe(EXIT.addressInUse);
  expect(complaints(taken)).toHaveLength(1);

  expect((await postcopy(run('here'))).code).toBe(0);
  const again = await postcopy(run('here'));
  expect(again.code).toBe(EXIT.nameInUse);
  clientOf('here');
  expect((await postcopy(['migrate', 'here', address, '--json'])).code).toBe(0);
  expect(await there.status()).toMatchObject({ state: 'running' });
  expect((await postcopy(['stop', 'there'])).code).toBe(0);
  await expect.poll(left).toEqual([]);
});
