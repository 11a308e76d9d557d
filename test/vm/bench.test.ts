/** The benchmark on a small guest: it measures, writes its reports, and leaves nothing, also when it is ended early. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { BenchResult } from '../../src/bench/result.js';
import { packageRoot } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startSource, work } from '../support/guest-vms.js';
import { onMachine } from '../support/machine.js';

const room = useCleanRoom();
const SMALL = ['--memory', '128M', '--working-set', '32M', '--rounds', '1', '--systems', 'postcopy'];
const CGROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/memory'];

/** Processes and files of its own are the clean room's to find. */
afterEach(() => expect(leftBehind()).toEqual([]));

function leftBehind(): string[] {
  const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
  const cgroups = CGROUPS.filter((path) => existsSync(path)).flatMap((path) => readdirSync(path));
  return [...namespaces, ...cgroups].filter((name) => name.startsWith('postcopy-bench-'));
}

function startBench(...words: string[]) {
  const child = spawn(process.execPath, [
    join(packageRoot, 'dist/cli/main.js'),
    ...onMachine(['bench', ...SMALL, ...words]),
  ]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
  return { child, ended: once(child, 'close'), stdout: () => stdout, stderr: () => stderr };
}

function takeFile(path: string): string {
  const text = readFileSync(path, 'utf8');
  rmSync(path);
  return text;
}

function takeResult(path: string): BenchResult {
  return JSON.parse(takeFile(path)) as BenchResult;
}

async function runBench(...words: string[]): Promise<string> {
  const { ended, stdout, stderr } = startBench(...words);
  const [code] = await ended;
  if (code !== 0) throw new Error(stderr());
  return stdout();
}

test('measures postcopy over loopback, and reports it', async () => {
  const [json, html] = [join(room, 'bench.json'), join(room, 'bench.html')];
  expect(await runBench('--json', json, '--html', html)).toContain('fault wait, mean');
  const result = takeResult(json);
  expect(result.scenarios).toHaveLength(1);
  const [run, ...others] = result.scenarios[0]!.runs;
  expect(others).toEqual([]);
  expect(run!.verdict).toMatchObject({ pages: 8192, bad: 0, outside_bad: 0 });
  const { figures } = run!;
  expect(figures.totalMs).toBeGreaterThan(figures.ownDowntimeMs);
  expect(figures.faults).toBeGreaterThan(0);
  expect(figures.faultWaitMeanUs).toBeGreaterThan(0);
  expect(figures.longestStallMs * 1000).toBeGreaterThanOrEqual(figures.faultWaitP99Us!);
  // The interface counts headers and acknowledgements as well.
  expect(figures.interfaceBytes).toBeGreaterThan(figures.wireBytes);
  expect(figures.interfaceRatio!).toBeLessThan(1.1);
  expect(figures.memoryPeakBytes).toBeGreaterThanOrEqual(figures.memoryBeforeBytes);
  expect(Math.abs(figures.clockLostMs)).toBeLessThan(10);
  expect(figures.cpuMs).toBeGreaterThanOrEqual(figures.cpuWithoutVcpusMs);
  const page = takeFile(html);
  expect(page).toContain('uPlot');
  expect(page).toContain('Speed of the guest');
});

test('a relay makes every fault wait for a round trip', async () => {
  const json = join(room, 'rtt.json');
  await runBench('--link', 'rtt=4', '--json', json);
  const result = takeResult(json);
  expect(result.scenarios[0]!.runs[0]!.figures.faultWaitP50Us).toBeGreaterThan(3900);
});

test('ends at a signal, in the middle of a run', async () => {
  const { child, ended, stderr } = startBench('--link', '1g,rtt=1');
  while (!stderr().includes('round 1')) await delay(20);
  await delay(1500);
  child.kill('SIGINT');
  const [code] = await ended;
  expect(code).toBe(130);
});

test('says what is wrong with an option, and makes nothing', async () => {
  const { ended, stderr } = startBench('--link', 'wifi');
  expect((await ended)[0]).toBe(2);
  expect(stderr()).toContain("--link: 'wifi' is no link");
});

test('says before it measures that a report cannot be written, and makes no file', async () => {
  const json = join(room, 'bench.json');
  const { ended, stderr } = startBench('--json', json, '--html', join(room, 'none', 'bench.html'));
  expect((await ended)[0]).toBe(2);
  expect(stderr()).toContain('none/bench.html: the report cannot be written there (ENOENT');
  expect(stderr()).not.toContain('round 1');
  expect(existsSync(json)).toBe(false);
});

test('the guest keeps what its report said at a mark, and counts on', async () => {
  const { guest } = await startSource({ fillMib: 8 });
  await guest.command('mark', 'marked');
  const later = await guest.report();
  const marked = await guest.reportMarked();
  expect(marked.accesses).toBeGreaterThan(0);
  expect(marked.us).toBeGreaterThan(0);
  expect(later.accesses).toBeGreaterThan(marked.accesses);
  expect(later.us).toBeGreaterThan(marked.us);
  expect(await guest.reportMarked()).toEqual(marked);
  await guest.command('reset', 'reset');
  await work(guest);
  expect((await guest.reportMarked()).accesses).toBe(0);
});
