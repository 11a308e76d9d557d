import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { promiseMemory, type LedgerParts, type MayPromise } from '../../src/host/memory-ledger.js';
import { readText, type MemoryRoom } from '../../src/host/memory-rooms.js';
import { native } from '../../src/native.js';

const GIB = 2 ** 30;
const HOST: MemoryRoom = { where: 'this host', cgroup: undefined, limit: undefined, available: 8 * GIB };

let directory: string;
let parts: LedgerParts;
let problems: unknown[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-ledger-'));
  parts = { directory: () => directory, lockFile: (path) => native.lockFile(path), read: readText };
  problems = [];
  return () => rmSync(directory, { recursive: true, force: true });
});

const promise = (bytes: number, mayPromise: MayPromise = () => {}) =>
  promiseMemory(bytes, mayPromise, (error) => problems.push(error), parts);

/** What others may still use of a room. */
async function promised(room = HOST): Promise<number> {
  let bytes = -1;
  (await promise(0, (of) => void (bytes = of(room)))).release();
  return bytes;
}

it('counts what was promised and is not touched yet, until it is given back', async () => {
  const first = await promise(3 * GIB);
  const second = await promise(2 * GIB);
  // What the test itself touches meanwhile counts as touched.
  expect(await promised()).toBeGreaterThan(4.5 * GIB);
  expect(await promised()).toBeLessThanOrEqual(5 * GIB);
  first.release();
  first.release();
  expect(await promised()).toBeLessThanOrEqual(2 * GIB);
  second.release();
  expect(await promised()).toBe(0);
  expect(readdirSync(directory)).toEqual([]);
  expect(problems).toEqual([]);
});

it('gives the same memory once to two that ask at the same moment', async () => {
  const take = () =>
    promise(5 * GIB, (of) => {
      if (HOST.available - of(HOST) < 5 * GIB) throw new Error('short');
    });
  const outcomes = await Promise.allSettled([take(), take(), take()]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.release();
});

it('counts in a cgroup only what is inside of it', async () => {
  parts.read = (path) => {
    if (path === '/proc/self/cgroup') return '0::/vms/web\n';
    return path === '/proc/self/mountinfo' ? '30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n' : readText(path);
  };
  const web = await promise(GIB);
  const inside = async (cgroup: string) => (await promised({ ...HOST, cgroup })) > 0.5 * GIB;
  expect([await inside('/vms/web'), await inside('/vms'), await inside('/')]).toEqual([true, true, true]);
  expect([await inside('/vms/we'), await inside('/other')]).toEqual([false, false]);
  web.release();
});

it('forgets a process that was killed, and files that are none of its own', async () => {
  const script = `
    const {promiseMemory} = await import(${JSON.stringify(join(import.meta.dirname, '../../dist/host/memory-ledger.js'))});
    await promiseMemory(${4 * GIB}, () => {}, console.error);
    console.log('promised');
    setInterval(() => {}, 1000);`;
  const runtime = mkdtempSync(join(tmpdir(), 'postcopy-runtime-'));
  onTestFinished(() => rmSync(runtime, { recursive: true, force: true }));
  const env = { ...process.env, POSTCOPY_RUNTIME_DIR: runtime };
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  directory = runtime;
  expect(await promised()).toBeGreaterThan(3.5 * GIB);
  child.kill('SIGKILL');
  await once(child, 'exit');
  writeFileSync(join(directory, '.ram-strange'), 'not an entry');
  expect(await promised()).toBe(0);
  expect(readdirSync(directory)).toEqual([]);
});

it('takes all that was promised to a process of which nothing can be told', async () => {
  const other = await promise(GIB);
  parts.read = () => undefined;
  expect(await promised()).toBe(GIB);
  other.release();
});

it('goes without a ledger where there is no place for one', async () => {
  parts.directory = () => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  const told = vi.fn();
  (await promise(GIB, (of) => told(of(HOST)))).release();
  expect(told).toHaveBeenCalledWith(0);
  expect(problems).toEqual([expect.objectContaining({ code: 'ENOSPC' })]);
});

it('goes without an entry that cannot be written', async () => {
  const { lockFile } = parts;
  parts.lockFile = (path) => {
    if (path.includes('.ram-')) throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
    return lockFile(path);
  };
  (await promise(GIB)).release();
  expect(problems).toEqual([expect.objectContaining({ code: 'EROFS' })]);
});

it('does not hand on what the one thinks who looks', async () => {
  mkdirSync(join(directory, '.ram-d'));
  await expect(
    promise(GIB, () => {
      throw new Error('no room');
    }),
  ).rejects.toThrow('no room');
  expect(problems).toHaveLength(1);
  rmSync(join(directory, '.ram-d'), { recursive: true });
  expect(await promised()).toBe(0);
});
