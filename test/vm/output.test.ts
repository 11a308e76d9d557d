/** Readers of what postcopy says that go away, and disks that are full: no VM ends for it, and no command with a stack trace. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { VmClient } from '../../src/control/client.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { packageRoot } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { onMachine } from '../support/machine.js';
import { postcopy } from '../support/postcopy.js';
import { SCALE } from '../support/scale.js';

const room = useCleanRoom();

const EXIT = { internal: 1, unreachable: 8 };
const MAIN = join(packageRoot, 'dist/cli/main.js');
const START_MS = 20_000;
/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1';

test('a VM lives on when nobody reads its standard error any more', async () => {
  const words = ['run', '--name', 'vm', '--memory', '64M', '--cpus', '1', '--serial', 'null', '--log-level', 'debug'];
  const child = spawn(process.execPath, [MAIN, ...onMachine(words), '--kernel', guestBinary()], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const client = new VmClient('vm', join(room, 'run', 'vm.sock'));
  onTestFinished(() => client.close());
  const state = () =>
    client.status().then(
      (status) => status.state,
      () => 'none',
    );
  await expect.poll(state, { timeout: START_MS * SCALE }).toBe('running');
  child.stderr.destroy();
  for (let tries = 0; tries < 2; tries++) {
    expect((await postcopy(['migrate', 'vm', NOWHERE])).code).toBe(EXIT.unreachable);
    expect(await state()).toBe('running');
  }
  await client.stop();
  expect((await exited)[0]).toBe(0);
});

test('a VM lives on, moves nowhere, and ends, when its standard error is full and nobody reads it', async () => {
  const path = join(room, 'unread');
  execFileSync('mkfifo', [path]);
  onTestFinished(() => rmSync(path));
  const [full, theirs] = [openSync(path, constants.O_RDWR | constants.O_NONBLOCK), openSync(path, constants.O_WRONLY)];
  onTestFinished(() => [full, theirs].forEach((fd) => closeSync(fd)));
  expect(() => {
    for (;;) writeSync(full, Buffer.alloc(4096));
  }).toThrow('EAGAIN');
  const words = ['run', '--name', 'vm', '--memory', '64M', '--cpus', '1', '--serial', 'null', '--log-level', 'debug'];
  const child = spawn(process.execPath, [MAIN, ...onMachine(words), '--kernel', guestBinary()], {
    stdio: ['ignore', 'ignore', theirs],
  });
  const exited = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const client = new VmClient('vm', join(room, 'run', 'vm.sock'));
  onTestFinished(() => client.close());
  const state = () =>
    client.status().then(
      ({ state }) => state,
      () => 'none',
    );
  await expect.poll(state, { timeout: START_MS * SCALE }).toBe('running');
  expect((await postcopy(['migrate', 'vm', NOWHERE])).code).toBe(EXIT.unreachable);
  expect(await state()).toBe('running');
  await client.stop({ force: true });
  expect((await exited)[0]).toBe(0);
});

test('a command whose reader goes says nothing of it, and ends with its own exit code', async () => {
  const child = spawn(process.execPath, [MAIN, 'list'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
  expect((await once(child, 'close'))[0]).toBe(0);
  expect(stderr).toBe('');
});

test('a command whose result cannot be written says so', async () => {
  const full = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(full));
  const child = spawn(process.execPath, [MAIN, 'list'], { stdio: ['ignore', full, 'pipe'] });
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk));
  expect((await once(child, 'close'))[0]).toBe(EXIT.internal);
  expect(stderr).toMatch(/^postcopy: the result cannot be written to standard output: ENOSPC.*\n$/);
});
