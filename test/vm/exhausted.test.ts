/** A host that has run out of something: what it lacks is said, where it can be, and has an exit code of its own. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { useCleanRoom } from '../support/clean-room.js';
import { postcopy } from '../support/postcopy.js';

const room = useCleanRoom();

const EXIT = { hostLacks: 3, badKernel: 4 };

/** A runtime directory on a file system of its own, which this process alone sees. */
function onTmpfs(options: string, then = ''): { runtimeDirectory: string; within: string[] } {
  const runtimeDirectory = join(room, 'run');
  mkdirSync(runtimeDirectory, { recursive: true });
  const script = `mount -t tmpfs -o mode=700,${options} none "${runtimeDirectory}" && { ${then} :; } && exec "$@"`;
  return { runtimeDirectory, within: ['unshare', '-m', 'sh', '-c', script, 'sh'] };
}

const run = (kernel: string, ...words: string[]) => [
  ...['run', '--name', 'vm', '--kernel', kernel, '--memory', '64M', '--cpus', '1', '--serial', 'null', ...words],
];

test('a kernel that cannot be loaded is named by a process in the background that has no room for a log', async () => {
  const kernel = join(room, 'kernel');
  writeFileSync(kernel, 'this is no kernel');
  onTestFinished(() => rmSync(kernel));
  const full = onTmpfs('size=16k', `head -c 16k /dev/zero > "${join(room, 'run/full')}" 2> /dev/null ||`);
  const { code, stderr } = await postcopy(run(kernel, '--detach'), full);
  expect([code, stderr]).toEqual([EXIT.badKernel, expect.stringContaining(`postcopy: ${kernel} `)]);
});

test.each([[], ['--detach']])('no inodes left %s', async (...words) => {
  const { code, stderr } = await postcopy(run(guestBinary(), ...words), onTmpfs('nr_inodes=1'));
  expect([code, stderr]).toEqual([EXIT.hostLacks, expect.stringMatching(/ENOSPC|No space left/)]);
  expect(stderr).not.toContain('internal error');
});

test('no descriptors left', async () => {
  const { code, stderr } = await postcopy(run(guestBinary()), { within: ['prlimit', '--nofile=64:64'] });
  expect([code, stderr]).toEqual([
    EXIT.hostLacks,
    expect.stringMatching(/^postcopy: this process may open no more files/),
  ]);
});
