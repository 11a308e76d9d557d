/** What the process of a VM gives up. Each test confines a process of its own: it is for good. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runNode } from './threads.js';

const root = new URL('../..', import.meta.url).pathname;

/** In the child: rights of each of its threads, and a thread that waits, but for what `code` does. */
const CHILD = `
  const { readdirSync, readFileSync } = require('node:fs');
  const { Worker } = require('node:worker_threads');
  const fieldsOf = (text) => ['NoNewPrivs', 'Seccomp', 'CapPrm', 'CapEff', 'CapBnd'].map(
    (name) => new RegExp(name + ':\\\\s*(\\\\S+)').exec(text)[1]);
  const threads = () => readdirSync('/proc/self/task').map(
    (thread) => fieldsOf(readFileSync('/proc/self/task/' + thread + '/status', 'utf8')));
  const tell = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
  const inWorker = (code) => new Promise((resolve) =>
    new Worker('const { parentPort } = require("node:worker_threads");' + code, { eval: true }).once('message', resolve));
  const keep = (...numbers) => { while (native.keepCapabilities(Uint32Array.from(numbers)) > 0); };
`;

async function confined(code: string): Promise<unknown[]> {
  const end = await runNode(`${CHILD} (async () => { ${code} })().then(() => process.exit(0));`);
  expect(end).toMatchObject({ code: 0, stderr: '' });
  return end.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

/** What of these is among the rights that the child began with. */
function maskOf(permitted: string, ...numbers: number[]): string {
  const kept = numbers.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n) & BigInt(`0x${permitted}`);
  return kept.toString(16).padStart(16, '0');
}

it('capabilities go from all threads, those of Node and of workers included, and stay away from new ones', async () => {
  const [before, after, made] = (await confined(`
    await inWorker('parentPort.postMessage(0); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    tell(threads());
    keep(1, 23);
    tell(threads());
    tell(await inWorker(\`parentPort.postMessage(
      require('node:fs').readFileSync('/proc/thread-self/status', 'utf8').match(/CapPrm:\\\\s*(\\\\S+)/)[1])\`));
  `)) as [string[][], string[][], string];
  const [, , permitted = '', , bounding = ''] = before[0]!;
  const wanted = maskOf(permitted, 1, 23);
  expect(after.length).toBeGreaterThan(5);
  for (const [, , nowPermitted, effective, nowBounding] of after) {
    expect([nowPermitted, effective]).toEqual([wanted, wanted]);
    // Only who has CAP_SETPCAP may.
    expect(nowBounding).toBe(maskOf(permitted, 8) === maskOf('0') ? bounding : maskOf(bounding, 1, 23));
  }
  expect(made).toBe(wanted);
});

it('they only ever become fewer', async () => {
  const [first, second] = (await confined(`keep(1); tell(threads()); keep(1, 12, 21, 23); tell(threads());`)) as [
    string[][],
    string[][],
  ];
  expect(second).toEqual(first);
});

it('the filter is on all threads; no program can be started, and threads and sockets can', async () => {
  const [rights, refused, works] = (await confined(`
    await inWorker('parentPort.postMessage(0); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    native.refuseCalls();
    tell(threads().map(([privileges, seccomp]) => [privileges, seccomp]));
    const code = (act) => { try { return act()?.error?.code ?? 'done'; } catch (error) { return error.code; } };
    tell([
      code(() => require('node:child_process').spawnSync('true')),
      code(() => process.setuid(1)),
      code(() => process.kill(process.ppid, 0)),
    ]);
    const server = require('node:net').createServer().listen(0, '127.0.0.1');
    await require('node:events').once(server, 'listening');
    const client = require('node:net').connect(server.address().port, 'localhost');
    await require('node:events').once(client, 'connect');
    tell([await inWorker('parentPort.postMessage("a thread")'), code(() => process.kill(process.pid, 0))]);
  `)) as [string[][], string[], string[]];
  expect(new Set(rights.map((each) => each.join()))).toEqual(new Set(['1,2']));
  expect(refused).toEqual(['EPERM', 'EPERM', 'EPERM']);
  expect(works).toEqual(['a thread', 'done']);
});

it('each call that the filter refuses ends as it says, on each thread and in each ABI', () => {
  const directory = mkdtempSync(join(tmpdir(), 'confine-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const program = join(directory, 'refused-calls');
  const sources = ['test/fixtures/confine/refused-calls.cc', 'native/confine/call_filter.cc'];
  execFileSync('c++', ['-std=c++20', '-pthread', '-Inative', '-o', program, ...sources], { cwd: root });
  const lines = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
  expect(lines.length).toBeGreaterThan(80);
  const wrong = lines.filter((line) => {
    const [, expected, found] = line.split(' ');
    return expected !== found;
  });
  expect(wrong).toEqual([]);
});

it('arguments are checked', async () => {
  const [codes] = await confined(`
    const nameOf = (act) => { try { act(); return 'none'; } catch (error) { return error.name; } };
    tell([nameOf(() => native.keepCapabilities(Uint32Array.of(64))), nameOf(() => native.keepCapabilities([1]))]);
  `);
  expect(codes).toEqual(['RangeError', 'TypeError']);
});
