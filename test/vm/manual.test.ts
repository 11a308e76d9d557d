/** The commands of README and of the manual's pages, as they stand there, on VMs of real processes. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { newMigrationKey } from '../../src/configure/security.js';
import { VmClient } from '../../src/control/client.js';
import type { VmStatus } from '../../src/vm/service.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { packageRoot } from '../../src/native.js';
import { useCleanRoom } from '../support/clean-room.js';
import { MACHINE } from '../support/machine.js';
import { blockOfPage, README, replaceAll, type Replacements } from '../support/manual.js';
import type { CommandEnd } from '../support/postcopy.js';

const room = useCleanRoom();
const files = join(room, 'files');
const bin = join(room, 'bin');
/** Folders of the manual's, which are below `files` here. */
const FOLDERS = ['/srv/web', '/var/log', '/var/tmp'];
const MIB = 1 << 20;
const POLL_MS = 20;
const LIMIT_MS = 100_000;
const EXIT_HOST_LACKS = 3;

/** One that reports: what its guest prints, and 128 MiB of which it writes a part. */
const SMALL = '--memory 128M --working-set 32M';

/** `postcopy` makes the machines of this suite, where the page names none. */
const PROGRAM = `#!/bin/sh
case $1 in
  run | receive | demo | bench) command=$1; shift; set -- "$command" --machine ${MACHINE} "$@" ;;
esac
exec ${process.execPath} ${join(packageRoot, 'dist/cli/main.js')} "$@"
`;

beforeAll(() => {
  for (const folder of [bin, ...FOLDERS.map((path) => join(files, path))]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(bin, 'postcopy'), PROGRAM, { mode: 0o755 });
  const web = (name: string): string => join(files, '/srv/web', name);
  copyFileSync(guestBinary(), web('vmlinuz'));
  writeFileSync(web('initrd.img'), gzipSync('070701')); // what is read of it is that it may be one
  for (const disk of ['root.img', 'data.img']) {
    writeFileSync(web(disk), '');
    truncateSync(web(disk), MIB);
  }
  // The bridge that it names is the lab's.
  const { nets: _, ...settings } = JSON.parse(blockOfPage('postcopy-settings.7', '{', 'json')) as { nets: unknown };
  writeFileSync(web('web.json'), JSON.stringify(settings));
});

afterEach(() => {
  for (const { runtime } of [first, second]) expect(readdirSync(runtime), runtime).toEqual([]);
});

afterAll(() => {
  for (const folder of [files, bin, first.runtime, second.runtime]) rmSync(folder, { recursive: true });
});

/** One of the manual's hosts: VMs of its own. Both see the same files. */
class Host {
  readonly runtime: string;

  constructor(name: string) {
    this.runtime = join(room, 'run', name);
    mkdirSync(this.runtime, { recursive: true, mode: 0o700 });
  }

  /** Runs the block of the page that begins so. Throws, with what it said, if it fails. */
  async run(page: string, beginning: string, replacements: Replacements = {}): Promise<CommandEnd> {
    const end = await this.try(page, beginning, replacements);
    if (end.code !== 0) throw new Error(`${beginning} of ${page} ended with ${end.code}: ${end.stdout}${end.stderr}`);
    return end;
  }

  /** The same, whatever the exit code. */
  try(page: string, beginning: string, replacements: Replacements = {}): Promise<CommandEnd> {
    return this.shell(this.commands(page, beginning, replacements)).ended;
  }

  /** The commands of a block, with the paths of this host. */
  commands(page: string, beginning: string, replacements: Replacements = {}): string {
    const text = replaceAll(blockOfPage(page, beginning), replacements, page).replaceAll('/run/postcopy', this.runtime);
    return FOLDERS.reduce((result, folder) => result.replaceAll(folder, join(files, folder)), text);
  }

  shell(commands: string, program = ['sh', '-e', '-c']) {
    const [file = '', ...words] = program;
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, POSTCOPY_RUNTIME_DIR: this.runtime };
    const running = promisify(execFile)(file, [...words, commands], { env, cwd: files, timeout: LIMIT_MS });
    const ended = running.then(
      ({ stdout, stderr }): CommandEnd => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }: CommandEnd): CommandEnd => ({ code, stdout, stderr }),
    );
    return { child: running.child, ended };
  }

  async status(name: string): Promise<VmStatus | undefined> {
    const client = new VmClient(name, join(this.runtime, `${name}.sock`));
    return client
      .status()
      .catch(() => undefined) // it is not there yet
      .finally(() => client.close());
  }

  async reaches(name: string, state: VmStatus['state']): Promise<VmStatus> {
    for (;;) {
      const status = await this.status(name);
      if (status?.state === state) return status;
      await delay(POLL_MS);
    }
  }

  /** Where its `receive` listens: the system has chosen the port. */
  async listens(name: string): Promise<string> {
    return (await this.reaches(name, 'waiting')).listen!;
  }
}

const first = new Host('first');
const second = new Host('second');
const ANY_PORT = '127.0.0.1:0';
const KEY = newMigrationKey();
/** Within a host a key has to be asked for. */
const WITH_KEY = `${ANY_PORT} --key ${KEY}`;

test('a first migration, by README', async () => {
  await first.run(README, 'postcopy run --detach --name here');
  await first.run(README, 'postcopy receive --detach --name there', { '127.0.0.1:7000': ANY_PORT });
  const to = { '127.0.0.1:7000': await first.listens('there') };
  const moved = await first.run(README, 'postcopy migrate here', to);
  expect(moved.stdout).toMatch(/^here is at 127\.0\.0\.1:\d+, moved completely/);
  const { stdout } = await first.run(README, 'postcopy status there');
  expect(stdout).toMatch(/^state +running$/m);
});

test('two machines of threads', async () => {
  await first.run('postcopy-threads.7', 'postcopy run --detach --name here', { '127.0.0.1:7000': ANY_PORT });
  const to = { '127.0.0.1:7000': await first.listens('there') };
  await first.run('postcopy-threads.7', 'postcopy migrate here', to);
  expect(await first.status('there')).toMatchObject({ state: 'running', machine: 'threads' });
  expect((await first.shell('postcopy stop there').ended).code).toBe(0);
});

test('a VM with a disk, from one host to the other; seen, paused, and stopped there', async () => {
  await first.run('postcopy-run.1', 'postcopy run --detach --name web');
  expect(await first.status('web')).toMatchObject({ state: 'running', disks: [{ id: 'root' }] });
  const here = { '192.0.2.2:7000': WITH_KEY, '/dev/san/web': '/srv/web/root.img' };
  await second.run('postcopy-receive.1', 'postcopy receive --detach --name web --listen 192.0.2.2:7000 \\', here);
  const to = { '192.0.2.2:7000': await second.listens('web'), KEY };
  const dry = await first.run('postcopy-migrate.1', 'postcopy migrate web 192.0.2.2:7000 --key KEY --dry-run', to);
  expect(dry.stdout).toMatch(/^web could move to .* now: nothing stands against it/);
  const moved = await first.run('postcopy-migrate.1', 'postcopy migrate web 192.0.2.2:7000 --key KEY\n', to);
  expect(moved.stdout).toMatch(/^web is at 127\.0\.0\.1:\d+, moved completely/);

  expect((await second.run('postcopy-list.1', 'postcopy list')).stdout).toMatch(/^web +running /m);
  expect((await second.run('postcopy-status.1', 'postcopy status web\n')).stdout).toMatch(/^disk root +\//m);
  const json = await second.run('postcopy-status.1', 'postcopy status web --json');
  expect(JSON.parse(json.stdout)).toMatchObject({ name: 'web', state: 'running' });
  await second.run('postcopy-pause.1', 'postcopy pause web');
  expect(await second.status('web')).toMatchObject({ state: 'paused' });
  await second.run('postcopy-resume.1', 'postcopy resume web');

  const serial = second.shell(second.commands('postcopy-console.1', 'postcopy console web\n'));
  const virtio = second.shell(second.commands('postcopy-console.1', 'postcopy console web --port virtio'));
  serial.child.stdin!.write('echo over-there\n');
  let heard = '';
  for await (const bytes of serial.child.stdout!) if ((heard += bytes).includes('"text":"over-there"')) break;
  await second.run('postcopy-stop.1', 'postcopy stop web\n');
  expect([(await serial.ended).code, (await virtio.ended).code]).toEqual([0, 0]);
  rmSync(join(files, '/var/log/web'));
});

test('in the foreground; figures of a move; back over the HTTP API', async () => {
  const foreground = first.try('postcopy-run.1', 'postcopy run --name try');
  await first.reaches('try', 'running');
  const listen = { '0.0.0.0:7000': WITH_KEY };
  await second.run('postcopy-receive.1', 'postcopy receive --detach --name web --listen 0.0.0.0:7000', listen);
  const to = { '192.0.2.2:7000': await second.listens('web'), 'migrate web': 'migrate try', KEY };
  await first.run('postcopy-migrate.1', 'postcopy migrate web 192.0.2.2:7000 --key KEY --json', to);
  const figures = join(files, '/var/tmp/web-moved.json');
  expect(JSON.parse(readFileSync(figures, 'utf8'))).toMatchObject({ status: 'completed', mode: 'post-copy' });
  expect(await foreground).toMatchObject({ code: 0 });

  const openapi = await second.run('postcopy-http-api.7', 'curl --unix-socket /run/postcopy/web.sock http:');
  expect(JSON.parse(openapi.stdout)).toMatchObject({ openapi: '3.1.1' });
  await first.run('postcopy-receive.1', 'postcopy receive --detach --name web --listen 0.0.0.0:7000', listen);
  const [host, port] = (await first.listens('web')).split(':');
  const back = { '192.0.2.2': host!, '7000': port!, KEY };
  const lines = await second.run('postcopy-http-api.7', 'curl --unix-socket /run/postcopy/web.sock --no-buffer', back);
  expect(JSON.parse(lines.stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({ summary: { status: 'completed' } });
  const stopped = await first.run('postcopy-http-api.7', 'curl --unix-socket /run/postcopy/web.sock \\');
  expect(stopped.stdout.trim()).toBe('{}');
  await gone(first, 'web');
});

test('what a file describes, until its power is cut at the latest', async () => {
  await first.run('postcopy-run.1', 'postcopy run --detach --config', { '4G': '128M' });
  expect(await first.status('web')).toMatchObject({ memoryBytes: 128 * MIB, disks: [{}, { readonly: true }] });
  await first.run('postcopy-stop.1', 'postcopy stop web --timeout');
});

test('the library boots a VM, moves it, and ends it there', async () => {
  const listen = { '0.0.0.0:7000': WITH_KEY };
  await second.run('postcopy-receive.1', 'postcopy receive --detach --name web --listen 0.0.0.0:7000', listen);
  const [host, port] = (await second.listens('web')).split(':');
  const moved = await program(first, 'import { checkVmSettings', {
    "name: 'web'": `name: 'web', machine: '${MACHINE}'`,
    '/srv/web': join(files, '/srv/web'),
    "memory: '2G'": "memory: '128M'",
    "'192.0.2.2'": `'${host}'`,
    'port: 7000': `port: ${port}`,
    KEY,
  });
  expect(moved).toMatch(/^completed \d/m);
  expect(await program(second, 'import { VmClient', {})).toContain("state: 'running'");
  await gone(second, 'web');
});

/** Runs a block of the library's page; what it prints. */
async function program(host: Host, beginning: string, replacements: Replacements): Promise<string> {
  const index = { "'postcopy'": `'${join(packageRoot, 'dist/index.js')}'` };
  const block = blockOfPage('postcopy-library.7', beginning, 'ts');
  const code = replaceAll(block, { ...index, ...replacements }, 'postcopy-library.7');
  const file = join(files, 'program.mjs');
  writeFileSync(file, code);
  const { code: exitCode, stdout, stderr } = await host.shell(file, [process.execPath]).ended;
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

/** Over the API, the VM's end is answered before its process has gone away. */
async function gone(host: Host, name: string): Promise<void> {
  while (readdirSync(host.runtime).some((file) => file.startsWith(name))) await delay(POLL_MS);
}

test('the demo', async () => {
  const small = await first.run('postcopy-demo.1', 'postcopy demo --memory', { '4G': '128M', '2G': '32M' });
  expect(small.stdout).toContain('Every page verified.');
  const threads = { '--cpus 8': `--cpus 2 ${SMALL}` };
  const { stdout } = await first.run('postcopy-demo.1', 'postcopy demo --machine threads', threads);
  expect(stdout).toContain('on a machine of threads');
});

test('the benchmark', async () => {
  const small = { '--rounds 3 --link 10g': `--rounds 1 --link loopback --systems postcopy ${SMALL}` };
  const { stdout } = await first.run('postcopy-bench.1', 'postcopy bench --rounds', small);
  expect(stdout).toContain('fault wait, mean');
  expect(JSON.parse(readFileSync(join(files, '/var/tmp/bench.json'), 'utf8'))).toMatchObject({ version: 1 });
});

test('the doctor', async () => {
  const { code, stdout } = await first.try('postcopy-doctor.1', 'postcopy doctor');
  expect(stdout).toMatch(/^(ok|warn) +kernel /m);
  // Without KVM the host lacks it.
  expect(MACHINE === 'kvm' ? [0] : [0, EXIT_HOST_LACKS]).toContain(code);
});
