import {
  chmodSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { claimName, removeDeadName } from '../../../src/control/claim-name.js';
import { listNames, lockPath, socketPath } from '../../../src/control/runtime-directory.js';
import { ensureRuntimeDirectory, runtimeDirectory } from '../../../src/host/runtime-directory.js';
import { FakeLocks, leaveDeadSocket } from './fake-lock.js';

let parent: string;
let directory: string;
const locks = new FakeLocks();
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'postcopy-claim-'));
  directory = join(parent, 'run');
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', directory);
});
afterEach(() => {
  vi.unstubAllEnvs();
  locks.taken.clear();
  locks.between = () => {};
  rmSync(parent, { recursive: true });
});

it('is under /run/postcopy unless told otherwise', () => {
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', '');
  expect(runtimeDirectory()).toBe('/run/postcopy');
  expect(socketPath('vm1')).toBe('/run/postcopy/vm1.sock');
});

it('makes the runtime directory for the owner alone', () => {
  expect(ensureRuntimeDirectory()).toBe(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(ensureRuntimeDirectory()).toBe(directory);
});

it('does not use a directory that others can write to, or that is none', () => {
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  expect(() => ensureRuntimeDirectory()).toThrow(expect.objectContaining({ code: 'HOST_LACKS' }));
  rmSync(directory, { recursive: true });
  symlinkSync(parent, directory);
  expect(() => ensureRuntimeDirectory()).toThrow('is not safe');
  rmSync(directory);
  writeFileSync(directory, '');
  expect(() => ensureRuntimeDirectory()).toThrow(expect.objectContaining({ code: 'HOST_LACKS' }));
});

it('makes the directories above it as well, where that can be done', () => {
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', join(directory, 'a/b'));
  expect(ensureRuntimeDirectory()).toBe(join(directory, 'a/b'));
  expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700);
  writeFileSync(join(directory, 'file'), '');
  for (const impossible of ['/proc/postcopy/run', join(directory, 'file/run')]) {
    vi.stubEnv('POSTCOPY_RUNTIME_DIR', impossible);
    expect(() => ensureRuntimeDirectory()).toThrow(`cannot make ${impossible}`);
  }
});

it('refuses names and directories that make no socket path', () => {
  expect(() => socketPath('../x')).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', `/${'d'.repeat(99)}`);
  expect(socketPath('a')).toHaveLength(107);
  expect(() => socketPath('ab')).toThrow('too long for a socket');
});

it('holds a name until it is released, and leaves nothing', () => {
  const claim = claimName('vm1', locks.lockFile);
  expect(claim.socketPath).toBe(join(directory, 'vm1.sock'));
  expect(existsSync(lockPath('vm1'))).toBe(true);
  writeFileSync(claim.socketPath, '');
  const fd = locks.opened.at(-1)!;
  claim.release();
  expect(readdirSync(directory)).toEqual([]);
  expect(() => fstatSync(fd)).toThrow(/EBADF/);
  claim.release();
});

it('says when the name is in use, and touches nothing', () => {
  ensureRuntimeDirectory();
  locks.taken.add(lockPath('vm1'));
  writeFileSync(socketPath('vm1'), '');
  expect(() => claimName('vm1', locks.lockFile)).toThrow(
    expect.objectContaining({ code: 'NAME_IN_USE', message: expect.stringContaining('vm1') }),
  );
  expect(existsSync(socketPath('vm1'))).toBe(true);
  expect(removeDeadName('vm1', locks.lockFile)).toBe(false);
  expect(existsSync(socketPath('vm1'))).toBe(true);
});

it('says when the lock file cannot be made', () => {
  const broken = () => {
    throw Object.assign(new Error('open: Read-only file system'), { code: 'EROFS' });
  };
  expect(() => claimName('vm1', broken)).toThrow(expect.objectContaining({ code: 'HOST_LACKS' }));
  expect(() => removeDeadName('vm1', broken)).toThrow('cannot lock');
});

it('does not trust a lock on a file that its owner removed meanwhile', () => {
  let removals = 3;
  locks.between = (path) => {
    if (removals-- > 0) rmSync(path);
  };
  const before = locks.opened.length;
  const claim = claimName('vm1', locks.lockFile);
  expect(locks.opened.length - before).toBe(4);
  expect(existsSync(lockPath('vm1'))).toBe(true);
  claim.release();
});

it('replaces what a killed process left', async () => {
  ensureRuntimeDirectory();
  await leaveDeadSocket(socketPath('vm1'));
  writeFileSync(lockPath('vm1'), '');
  expect(listNames()).toEqual(['vm1']);
  const claim = claimName('vm1', locks.lockFile);
  expect(existsSync(claim.socketPath)).toBe(false);
  claim.release();
  await leaveDeadSocket(socketPath('vm2'));
  expect(removeDeadName('vm2', locks.lockFile)).toBe(true);
  expect(readdirSync(directory)).toEqual([]);
});

it('lists sockets with names of VMs only', () => {
  expect(listNames()).toEqual([]);
  ensureRuntimeDirectory();
  for (const file of ['b.sock', 'a.sock', 'a.lock', '.x.sock', '.sock', 'c']) writeFileSync(join(directory, file), '');
  expect(listNames()).toEqual(['a', 'b']);
});

it('says what to do where it cannot list', () => {
  writeFileSync(directory, '');
  expect(() => listNames()).toThrow(
    expect.objectContaining({ code: 'HOST_LACKS', message: expect.stringContaining(`cannot read ${directory}`) }),
  );
});
