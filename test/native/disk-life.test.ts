/** Who may use a disk, and how its life ends. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { DISK_FLUSH, DISK_WRITE, native } from '../../src/native.js';
import { KIB, lock, makeImage, makeMemory, openDisk, pattern, submit, unlock } from './disks.js';
import { PATIENCE_MS, readable, runNode } from './threads.js';

describe('locks', () => {
  it('one writer', () => {
    const path = makeImage(pattern(KIB));
    const [mine, other, reader] = [openDisk(path), openDisk(path), openDisk(path, true)];
    expect(lock(mine)).toBe(true);
    expect(lock(mine)).toBe(true);
    expect(lock(other)).toBe(false);
    expect(lock(reader)).toBe(false);
    unlock(mine);
    unlock(mine);
    expect(lock(other)).toBe(true);
    expect(lock(mine)).toBe(false);
  });

  it('or several readers', () => {
    const path = makeImage(pattern(KIB));
    const [writer, a, b] = [openDisk(path), openDisk(path, true), openDisk(path, true)];
    expect([lock(a), lock(b)]).toEqual([true, true]);
    expect(lock(writer)).toBe(false);
    unlock(a);
    expect(lock(writer)).toBe(false);
    unlock(b);
    expect(lock(writer)).toBe(true);
  });

  it('end with close(), also where another thread still has an object', () => {
    const path = makeImage(pattern(KIB));
    const [mine, other] = [openDisk(path), openDisk(path)];
    const attached = new native.Disk(null, mine.handle);
    expect(lock(mine)).toBe(true);
    expect(mine.close(PATIENCE_MS)).toBe(true);
    expect(lock(other)).toBe(true);
    expect(() => attached.submit(1, DISK_FLUSH, makeMemory(), new Float64Array(0), 0, 0, 0)).toThrow('after close()');
    attached.detach();
  });

  it('are not for other opens of the same process only', () => {
    const path = makeImage(pattern(KIB));
    const disk = openDisk(path);
    expect(lock(disk)).toBe(true);
    const other = `
      import fcntl, struct, sys
      f = open(sys.argv[1], 'r+b')
      fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)`;
    expect(() =>
      execFileSync('python3', ['-c', other.replaceAll('\n      ', '\n'), path], { stdio: 'pipe' }),
    ).toThrow();
    unlock(disk);
    execFileSync('python3', ['-c', other.replaceAll('\n      ', '\n'), path]);
  });
});

describe('the end', () => {
  /** A request that waits for a page, and others behind it. */
  const IN_FLIGHT = `
    const { writeFileSync, rmSync } = require('node:fs');
    const path = require('node:os').tmpdir() + '/postcopy-disk-end-' + process.pid;
    writeFileSync(path, new Uint8Array(65536));
    const disk = new native.Disk(path, false);
    rmSync(path);
    const memory = new native.GuestMemory(65536, 'anonymous');
    const faults = new native.Userfaultfd(memory);
    faults.register(3, 1, false);
    for (let id = 0; id < 8; id++) disk.submit(id, 0, memory, Float64Array.of(3 * 4096, 4096), 1, 0, 4096);
    native.poll(Int32Array.of(faults.fd, 1, 0), 1, 5000);`;
  const quiet = { code: 0, signal: null, stderr: '' };

  it.each([
    ['exit', 'process.exit(0);', ''],
    ['the end of the program', '', ''],
    ['exit after a close() in vain', 'console.log(disk.close(20)); process.exit(0);', 'false\n'],
    ['exit after a close() of RAM', 'memory.close(); process.exit(0);', ''],
    [
      'exit while nothing is in flight',
      'faults.zero(3, 1); console.log(disk.waitIdle(5000)); process.exit(0);',
      'true\n',
    ],
  ])('%s, with requests in flight', async (_, code, stdout) => {
    expect(await runNode(`${IN_FLIGHT} ${code}`)).toEqual({ ...quiet, stdout });
  });

  it('close() waits for requests in flight', async () => {
    const code = `
      const thread = new (require('node:worker_threads').Worker)(
        "const { workerData: data } = require('node:worker_threads');" +
        "const native = require(data.loader)(data.root); const faults = new native.Userfaultfd(null, data.faults);" +
        "setTimeout(() => faults.zero(3, 1), 100);",
        { eval: true, workerData: { loader: require.resolve('node-gyp-build'), root: process.cwd(), faults: faults.handle } });
      const ended = disk.close(5000);
      const open = require('node:fs').readdirSync('/proc/self/task')
        .map((task) => {
          try {
            return require('node:fs').readFileSync('/proc/self/task/' + task + '/comm', 'utf8');
          } catch {
            return 'gone';
          }
        });
      console.log(ended, open.includes('disk\\n'));
      thread.on('exit', () => process.exit(0));`;
    expect(await runNode(`${IN_FLIGHT} ${code}`)).toEqual({ ...quiet, stdout: 'true false\n' });
  });

  it('a close() in vain keeps the lock until the writing has ended', async () => {
    const path = makeImage(new Uint8Array(64 * KIB));
    const memory = makeMemory();
    const faults = new native.Userfaultfd(memory);
    faults.register(3, 1, false);
    const [disk, other] = [openDisk(path), openDisk(path)];
    expect(lock(disk)).toBe(true);
    submit(disk, 1, DISK_WRITE, memory, [[3 * 4096, 4096]], 0);
    await readable(faults.fd);
    expect(disk.close(10)).toBe(false);
    expect(disk.close(10)).toBe(true);
    expect(lock(other)).toBe(false);
    faults.zero(3, 1);
    await expect.poll(() => lock(other), { timeout: 10_000 }).toBe(true);
    faults.close();
  });

  it('leaves no thread and no descriptor behind', async () => {
    const code = `
      faults.zero(3, 1);
      const { readdirSync } = require('node:fs');
      const count = () => [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length];
      disk.close(5000);
      const before = count();
      for (let i = 0; i < 20; i++) {
        writeFileSync(path, new Uint8Array(4096));
        const another = new native.Disk(path, false);
        for (let id = 0; id < 8; id++) another.submit(id, 3, memory, new Float64Array(0), 0, 0, 0);
        another.close(5000);
      }
      rmSync(path);
      console.log(String(count()) === String(before) || [before, count()]);`;
    expect(await runNode(`${IN_FLIGHT} ${code}`)).toEqual({ ...quiet, stdout: 'true\n' });
  });
});
