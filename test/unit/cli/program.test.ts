import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { consoleCommand } from '../../../src/cli/console.js';
import { listCommand } from '../../../src/cli/list.js';
import { runProgram } from '../../../src/cli/program.js';
import { VmClient } from '../../../src/control/client.js';
import { socketPath } from '../../../src/control/runtime-directory.js';
import { ensureRuntimeDirectory } from '../../../src/host/runtime-directory.js';
import { startControlServer, type ControlServer } from '../../../src/control/server.js';
import { PostcopyError } from '../../../src/errors.js';
import { FakeLocks, leaveDeadSocket } from '../control/fake-lock.js';
import { FakeVm, PROGRESS, STATUS, SUMMARY } from '../control/fake-vm.js';
import { Collected } from '../console/socket-pair.js';
import { FakeOutput } from './fake-output.js';

let directory: string;
let vm: FakeVm;
const servers: ControlServer[] = [];
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-cli-'));
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', directory);
  vm = new FakeVm();
  await serve('vm1', () => vm);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

async function serve(name: string, service: () => FakeVm | undefined): Promise<void> {
  ensureRuntimeDirectory();
  servers.push(await startControlServer({ path: socketPath(name), service }));
}

async function call(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = new FakeOutput();
  const code = await runProgram(words, output);
  return { code, stdout: output.stdout, stderr: output.stderr };
}

describe('usage', () => {
  it('--version and --help', async () => {
    expect(await call('--version')).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
    const help = await call('--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of [
      'run',
      'receive',
      'migrate',
      'cancel',
      'limit',
      'forecast',
      'status',
      'list',
      'stop',
      'pause',
      'resume',
      'console',
      'doctor',
      'demo',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
    expect((await call('run', '--help')).stdout).toContain('--no-reboot');
  });

  it.each([
    [['frobnicate'], "postcopy: unknown command 'frobnicate'"],
    [['run', '--fast'], "postcopy: unknown option '--fast'"],
    [['status'], "postcopy: missing required argument 'name'"],
    [['migrate', 'vm1'], "postcopy: missing required argument 'host:port'"],
    [['stop', 'vm1', 'vm2'], 'postcopy: too many arguments'],
    [['stop', 'vm1', '--timeout', '0'], 'Give whole seconds from 1 to 86400'],
    [['stop', 'vm1', '--timeout', '1m'], 'Give whole seconds'],
    [['stop', 'vm1', '--timeout', '5', '--force'], "'--force' cannot be used with option '--timeout"],
    [
      ['migrate', 'vm1', 'host2:7000', '--channels', '17'],
      "option '--channels <number>' argument '17' is invalid. Give a whole number of connections from 1 to 16.",
    ],
    [['migrate', 'vm1', 'host2:7000', '--channels', '0x4'], 'Give a whole number of connections from 1 to 16.'],
    [
      ['migrate', 'vm1', 'host2:7000', '--prefetch', 'by-magic'],
      "option '--prefetch <name>' argument 'by-magic' is invalid. Give one of: in-order, near-faults, streams, auto, recent.",
    ],
    [
      ['migrate', 'vm1', 'host2:7000', '--bandwidth', '1Gb'],
      'Give bytes per second like 100M, or bits like 1Gbit, from 64 KiB/s to 1 TiB/s.',
    ],
    [['forecast', 'vm1', '--seconds', '31'], 'Give whole seconds from 1 to 30.'],
    [['limit', 'vm1', '63K'], 'Give bytes per second like 100M'],
    [['limit', 'vm1'], "missing required argument 'rate'"],
    [['receive', '--name', 'x'], "postcopy: required option '--listen <host:port>' not specified"],
    [['--log-level', 'loud', 'list'], "postcopy: option '--log-level <level>' argument 'loud' is invalid"],
  ])('%j is wrong usage', async (words, line) => {
    const { code, stdout, stderr } = await call(...words);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^postcopy: [^\n]+\n$/);
    expect(stderr).toContain(line);
  });

  it('nothing at all shows the help, and is wrong usage', async () => {
    const { code, stderr } = await call();
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: postcopy');
  });

  it.each([
    [['run'], ['name: give', 'kernel: give']],
    [
      ['run', '--name', 'x', '--kernel', 'k', '--memory', '1', '--cpus', 'many'],
      ['memory:', 'cpus:'],
    ],
    [['run', '--config', '/nowhere.json'], ['/nowhere.json: the configuration file cannot be read']],
    [['receive', '--name', 'x', '--listen', '7000'], ["'7000' is no HOST:PORT"]],
    [['receive', '--name', '.', '--listen', 'h:1'], ["'.' is no name"]],
    [['receive', '--name', 'x', '--listen', 'h:1', '--serial', 'x'], ["'x' is no serial port setting"]],
    [['run', '--name', 'x', '--kernel', 'k', '--disk', 'path=/a', '--disk', 'x'], ["disks.1: 'x' is no disk setting"]],
    [['receive', '--name', 'x', '--listen', 'h:1', '--disk', 'path=/a'], ["'path=/a' is no disk setting: say which"]],
    [
      ['run', '--name', 'x', '--kernel', 'k', '--net', 'tap=a', '--net', 'tap=a', '--net', 'b'],
      ["nets.2: 'b' is no network setting"],
    ],
    [['receive', '--name', 'x', '--listen', 'h:1', '--net', 'tap=a'], ["'tap=a' is no network setting"]],
    [['migrate', 'vm1', 'host2'], ["'host2' is no HOST:PORT"]],
    [['status', 'a/b'], ["'a/b' is no name"]],
  ])('%j cannot be used', async (words, parts) => {
    const { code, stderr } = await call(...words);
    expect(code).toBe(2);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toEqual(parts.map((part) => expect.stringContaining(`postcopy: ${part}`)));
  });

  it('a guest that does not fit the host is refused at once', async () => {
    const { code, stderr } = await call('run', '--name', 'x', '--kernel', 'k', '--memory', '8T');
    expect(code).toBe(3);
    expect(stderr).toMatch(/^postcopy: the guest's 8 TiB of memory do not fit this host/);
  });
});

describe('a VM', () => {
  it.each(['pause', 'resume', 'stop'])('%s', async (action) => {
    expect(await call(action, 'vm1')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(vm.calls).toEqual([action]);
    vm.refusal = new PostcopyError('WRONG_STATE', 'not now');
    expect(await call(action, 'vm1')).toEqual({ code: 11, stdout: '', stderr: 'postcopy: not now\n' });
  });

  it('is resumed by force only where that is said', async () => {
    await call('resume', 'vm1');
    await call('resume', 'vm1', '--force');
    expect(vm.resumes).toEqual([{}, { force: true }]);
  });

  it.each(['status', 'pause', 'resume', 'stop', 'console'])('%s says when there is none', async (action) => {
    const { code, stderr } = await call(action, 'vm2');
    expect(code).toBe(6);
    expect(stderr).toMatch(/^postcopy: no VM named vm2 runs on this host.*\n$/);
  });

  it('stop asks the guest, and says when it does not react', async () => {
    await call('stop', 'vm1');
    await call('stop', 'vm1', '--timeout', '5');
    await call('stop', 'vm1', '--force');
    expect(vm.stops).toEqual([{ force: false }, { force: false, timeoutMs: 5000 }, { force: true }]);
    vm.refusal = new PostcopyError('NO_REACTION', 'still there');
    expect(await call('stop', 'vm1')).toEqual({ code: 15, stdout: '', stderr: 'postcopy: still there\n' });
  });

  it('stop returns when the name is free', async () => {
    const lock = join(directory, 'vm1.lock');
    writeFileSync(lock, '');
    setTimeout(() => rmSync(lock), 100);
    await call('stop', 'vm1');
    expect(existsSync(lock)).toBe(false);
  });

  it('status, for people and as JSON', async () => {
    expect((await call('status', 'vm1')).stdout).toMatch(/^name +vm1\nmachine +kvm\nstate +running\n/);
    const { stdout } = await call('status', 'vm1', '--json');
    expect(JSON.parse(stdout)).toEqual(STATUS);
  });
});

describe('list', () => {
  it('shows those that live, start, and are dead, and cleans up after the dead', async () => {
    await serve('young', () => undefined);
    await leaveDeadSocket(socketPath('dead'));
    const locks = new FakeLocks();
    const output = new FakeOutput();
    expect(await listCommand({ json: true }, output, locks.lockFile)).toBe(0);
    expect(JSON.parse(output.stdout)).toEqual([
      { name: 'dead', state: 'dead', problem: expect.any(String) },
      STATUS,
      { name: 'young', state: 'starting', problem: expect.any(String) },
    ]);
    expect(readdirSync(directory).sort()).toEqual(['vm1.sock', 'young.sock']);
  });

  it('leaves those alone whose process lives and does not listen', async () => {
    await leaveDeadSocket(socketPath('busy'));
    const locks = new FakeLocks();
    locks.taken.add(join(directory, 'busy.lock'));
    const output = new FakeOutput();
    await listCommand({}, output, locks.lockFile);
    expect(output.stdout).toMatch(/^busy +unreachable /m);
    expect(readdirSync(directory)).toContain('busy.sock');
  });
});

describe('migrate', () => {
  it('prints a table', async () => {
    vm.onMigrate = async (_request, onProgress) => {
      onProgress(PROGRESS);
      return SUMMARY;
    };
    const { code, stdout } = await call('migrate', 'vm1', 'host2:7000');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^vm1 is at host2:7000, moved completely in 1\.2 s\nmode +post-copy\nmachine +kvm\n/);
    expect(vm.calls).toEqual(['migrate host2 7000']);
  });

  it('prints exactly one JSON object', async () => {
    const { code, stdout, stderr } = await call('migrate', 'vm1', '[::1]:7000', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.match(/\n/g)).toHaveLength(1);
    expect(JSON.parse(stdout)).toEqual(SUMMARY);
  });

  it.each([
    ['failed' as const, 10, 'postcopy: the migration failed, vm1 runs on here: no room\n'],
    [
      'link-lost' as const,
      13,
      'postcopy: vm1 is lost, start it again from its disks, unless it runs whole at the destination: no room\n',
    ],
  ])('says when it %s', async (status, exitCode, line) => {
    const summary = { ...SUMMARY, status, error: { code: 'REFUSED', message: 'no room' } };
    vm.onMigrate = async () => summary;
    const { code, stdout, stderr } = await call('migrate', 'vm1', 'host2:7000', '--json');
    expect({ code, stderr }).toEqual({ code: exitCode, stderr: line });
    expect(JSON.parse(stdout)).toEqual(summary);
  });

  it('does not say of a VM whose hand-over is in doubt where it is', async () => {
    const error = { code: 'LINK_LOST', message: 'why' };
    vm.onMigrate = async () => ({ ...SUMMARY, status: 'link-lost', inDoubt: true, error });
    const { code, stdout, stderr } = await call('migrate', 'vm1', 'host2:7000');
    expect(code).toBe(13);
    expect(stdout).toMatch(/^vm1 stands still here: the link to host2:7000 was lost in the instant of the hand-over\n/);
    expect(stderr).toMatch(/^postcopy: .* not known here \(see "postcopy status vm1"\): why\n$/);
  });

  it.each([
    ['paused' as const, 12, 'vm1 is paused here ("postcopy resume vm1" lets it go on)'],
    ['stopped' as const, 6, 'and vm1 has ended here'],
  ])('does not say of a VM that is %s then that it runs on', async (state, exitCode, fate) => {
    vm.onMigrate = async () => {
      vm.current = { ...STATUS, state };
      return { ...SUMMARY, status: 'failed', error: { code: 'MIGRATION_FAILED', message: 'why' } };
    };
    const { code, stderr } = await call('migrate', 'vm1', 'host2:7000');
    expect({ code, stderr }).toEqual({ code: exitCode, stderr: `postcopy: the migration failed, ${fate}: why\n` });
  });

  it('shows no table of a migration that failed', async () => {
    vm.onMigrate = async () => ({ ...SUMMARY, status: 'failed', error: { code: 'REFUSED', message: 'no room' } });
    expect(await call('migrate', 'vm1', 'host2:7000')).toEqual({
      code: 10,
      stdout: '',
      stderr: 'postcopy: the migration failed, vm1 runs on here: no room\n',
    });
  });

  it('asks for what is given, and for nothing that is not', async () => {
    const asked = vi.spyOn(VmClient.prototype, 'migrate');
    await call('migrate', 'vm1', 'host2:7000', '--json');
    await call('migrate', 'vm1', 'host2:7000', '--channels', '4', '--prefetch', 'in-order');
    await call('migrate', 'vm1', 'host2:7000', '--bandwidth', '1Gbit');
    expect(asked.mock.calls.map(([request]) => request)).toEqual([
      { host: 'host2', port: 7000 },
      { host: 'host2', port: 7000, channels: 4, prefetch: 'in-order' },
      { host: 'host2', port: 7000, bandwidth: 125_000_000 },
    ]);
    asked.mockRestore();
  });

  it('says when the VM cannot migrate now', async () => {
    vm.onMigrate = async () => Promise.reject(new PostcopyError('WRONG_STATE', 'it migrates already'));
    expect(await call('migrate', 'vm1', 'host2:7000')).toEqual({
      code: 11,
      stdout: '',
      stderr: 'postcopy: it migrates already\n',
    });
  });
});

it('limit changes the rate of a migration, and lifts its limit', async () => {
  const done = { code: 0, stdout: '', stderr: '' };
  expect([await call('limit', 'vm1', '100M'), await call('limit', 'vm1', 'none')]).toEqual([done, done]);
  expect(vm.calls).toEqual(['limit 104857600', 'limit null']);
});

describe('forecast', () => {
  it('is for common links if nothing is known of the one to be', async () => {
    const { code, stdout, stderr } = await call('forecast', 'vm1', '--seconds', '1');
    expect(stdout).toMatch(/[^\n]\n$/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(vm.calls).toEqual(['measure 1']);
    expect(stdout).toMatch(/^vm1 has 512 MiB of data, and has written 7\.8 MiB of it in 2(\.0)? s/);
    expect(stdout.match(/^Link .*$/gm)).toEqual(['Link 1g:', 'Link 10g:', 'Link 25g:']);
    expect(stdout.match(/^Recommended: pre-copy: /gm)).toHaveLength(3);
  });

  it('takes the link from a dry run, and the options of a migration', async () => {
    const trial = { roundTripUs: 100, bytesPerSecond: 1e8 };
    const channels = [
      { ...trial, kind: 'urgent' as const, index: 0 },
      { ...trial, kind: 'bulk' as const, index: 0 },
    ];
    vm.onMigrate = async () => ({ ...SUMMARY, status: 'dry-run', channels });
    const { code, stdout } = await call('forecast', 'vm1', 'host2:7000', '--plain', '--downtime', '1', '--json');
    expect(code).toBe(0);
    expect(vm.migrations).toMatchObject([{ host: 'host2', port: 7000, plain: true, dryRun: true }]);
    const { forecasts } = JSON.parse(stdout) as { forecasts: { modes: { mode: string; converges?: boolean }[] }[] };
    expect(forecasts).toHaveLength(1);
    // No guest stands still for so short.
    expect(forecasts[0]!.modes[1]).toMatchObject({ mode: 'pre-copy', converges: false });
  });

  it('says why the destination would not have it', async () => {
    const error = { code: 'REFUSED', message: 'host2 refuses the VM: no disk' };
    vm.onMigrate = async () => ({ ...SUMMARY, status: 'failed', error });
    expect(await call('forecast', 'vm1', 'host2:7000', '--plain')).toEqual({
      code: 10,
      stdout: '',
      stderr: 'postcopy: the VM could not move there now: host2 refuses the VM: no disk\n',
    });
    expect(vm.calls).not.toContain('measure undefined');
  });
});

describe('console', () => {
  class Terminal extends PassThrough {
    readonly isTTY = true;
    raw: boolean[] = [];
    setRawMode(raw: boolean) {
      this.raw.push(raw);
    }
  }

  it('joins a terminal until Ctrl-]', async () => {
    const input = new Terminal();
    const screen = new PassThrough();
    const seen = new Collected(screen);
    const output = new FakeOutput();
    const code = consoleCommand('vm1', 'serial', output, { input, output: screen });
    input.write('ls\r');
    await seen.until((text) => text === 'ls\r');
    expect(input.raw).toEqual([true]);
    input.write('x\x1dy');
    expect(await code).toBe(0);
    expect(input.raw).toEqual([true, false]);
    expect(output.stderr).toBe('postcopy: console of vm1: Ctrl-] leaves it\npostcopy: left the console of vm1\n');
    expect(seen.text).not.toContain('y');
  });

  it('ends with the VM', async () => {
    vm.onConsole = (stream) => stream.end('bye');
    const input = new Terminal();
    const screen = new PassThrough();
    const seen = new Collected(screen);
    const output = new FakeOutput();
    expect(await consoleCommand('vm1', 'serial', output, { input, output: screen })).toBe(0);
    expect(seen.text).toBe('bye');
    expect(input.raw).toEqual([true, false]);
    expect(output.stderr).toContain('closed by its process');
  });

  it('passes a pipe on as it is', async () => {
    const input = new PassThrough();
    const screen = new PassThrough();
    const seen = new Collected(screen);
    vm.onConsole = (stream) =>
      stream.on('data', (bytes: Buffer) => (bytes.includes('.') ? stream.end(bytes) : stream.write(bytes)));
    const done = consoleCommand('vm1', 'serial', new FakeOutput(), { input, output: screen });
    input.write('a\x1db');
    await seen.until((text) => text === 'a\x1db');
    input.end('.');
    expect(await done).toBe(0);
    expect(seen.text).toBe('a\x1db.');
  });
});
