/** What only measures, or tells, ends no VM: a process that may open nothing more, and an embedder whose callback throws. */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { packageRoot } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';

const room = useCleanRoom();

/** Some samples of both ends. */
const HELD_MS = 500;

/** Every open() of that process fails with EMFILE until the result is called. */
function exhaust(pid: number): () => void {
  const limit = (to: number): void => void execFileSync('prlimit', ['--pid', String(pid), `--nofile=${to}:`]);
  const open = readdirSync(`/proc/${pid}/fd`).map(Number);
  limit(
    Math.min(open.length, ...Array.from({ length: open.length + 1 }, (_, fd) => fd).filter((fd) => !open.includes(fd))),
  );
  return () => limit(1024);
}

test('a migration goes on though neither end may open a file: it is whole', async () => {
  const source = await startSource({ fillMib: 32 });
  const to = await startDestination();
  const proxy = await CuttingProxy.open(to.address);
  proxy.onPushed(1 << 20, async () => {
    const undo = [source.vm.pid, to.vm.pid].map(exhaust);
    await delay(HELD_MS);
    for (const step of undo) step();
  });
  expect((await source.vm.client.migrate(proxy.address, () => {})).status).toBe('completed');
  expect(proxy.sprung).toBe(true);
  expect(await source.vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('EMFILE') });
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
  await to.vm.client.stop({ force: true });
  expect(await to.vm.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('EMFILE') });
  await proxy.close();
});

const EMBEDDER = `
  const { checkVmSettings, openSerialBackend, startVm } = await import(process.argv[2]);
  const [kernel, port] = process.argv.slice(3);
  const config = checkVmSettings({ name: 'vm', kernel, memory: '128M', cpus: 1, serial: 'null' });
  const consoles = { serial: await openSerialBackend(config.serial), virtio: await openSerialBackend(config.console) };
  const vm = await startVm(config, consoles, () => { throw new Error('my own bug'); });
  const summary = await vm.migrate({ host: '127.0.0.1', port: Number(port) }, () => { throw new Error('my own bug'); });
  console.log(summary.status);
  await vm.ended;
  process.exit(0);
`;

test('a program that embeds it, whose callbacks throw, moves its VM', async () => {
  const to = await startDestination();
  // Not with -e: workers would be given that as well.
  const program = join(room, 'embedder.mjs');
  writeFileSync(program, EMBEDDER);
  onTestFinished(() => rmSync(program));
  const words = [program, join(packageRoot, 'dist/index.js'), guestBinary()];
  const child = spawn(process.execPath, [...words, String(to.address.port)], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  expect(await new Promise((resolve) => child.once('close', resolve)), said).toBe(0);
  expect(said).toContain('completed');
  expect((await to.vm.client.status()).state).toBe('running');
  await to.vm.client.stop({ force: true });
});
