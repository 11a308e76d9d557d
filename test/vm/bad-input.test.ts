/**
 * What users give by mistake, hosts lack and other programs send: one clear line and the documented exit code, nothing
 * left behind, and a VM that was running keeps running.
 */
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { VmClient } from '../../src/control/client.js';
import { PROTOCOL_VERSION, PROTOCOL_VERSIONS } from '../../src/migrate/wire/protocol.js';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, work, type LoadedVm } from '../support/guest-vms.js';
import { complaints, postcopy } from '../support/postcopy.js';
import { makeRawImage } from '../support/raw-image.js';
import { after, fails } from '../support/refusals.js';

const room = useCleanRoom();

const EXIT = {
  usage: 2,
  hostLacks: 3,
  badKernel: 4,
  nameInUse: 5,
  noSuchVm: 6,
  addressInUse: 7,
  refused: 10,
  badPeer: 9,
  unreachable: 8,
  failed: 12,
  diskInUse: 16,
};

function run(...words: string[]): string[] {
  return ['run', '--name', 'vm', '--memory', '64M', '--cpus', '1', '--serial', 'null', ...words];
}

function receive(...words: string[]): string[] {
  return ['receive', '--name', 'vm', '--serial', 'null', ...words];
}

describe('run', () => {
  test('a kernel that is missing or cannot be read', async () => {
    await fails(run('--kernel', join(room, 'none')), EXIT.badKernel, /cannot read kernel .*none.*ENOENT/);
    await fails(run('--kernel', room), EXIT.badKernel, /kernel .* is no regular file/);
    await fails(
      run('--kernel', guestBinary(), '--initrd', join(room, 'none')),
      EXIT.badKernel,
      /cannot read initrd .*none/,
    );
    // A device that never ends would fill the host's memory.
    await fails(run('--kernel', '/dev/zero'), EXIT.badKernel, /kernel \/dev\/zero is no regular file/);
    await fails(
      run('--kernel', guestBinary(), '--initrd', '/dev/zero'),
      EXIT.badKernel,
      /initrd \/dev\/zero is no regular file/,
    );
  });

  test('more memory than the host has', async () => {
    await fails(
      run('--kernel', guestBinary(), '--memory', '7T'),
      EXIT.hostLacks,
      /7 TiB .*do not fit this host, which has/,
    );
  });

  test('a serial port that cannot be opened', async () => {
    await fails(run('--kernel', guestBinary(), '--serial', `file:${room}`), EXIT.usage, /serial port/);
    await fails(run('--kernel', guestBinary(), '--serial', `unix:${room}/none/serial`), EXIT.usage, /serial port/);
  });

  test('a name in use; the VM that has it goes on', async () => {
    const { vm, guest } = await startSource();
    const { runtimeDirectory } = vm;
    const end = await postcopy(run('--kernel', guestBinary()), { runtimeDirectory });
    expect(end.code).toBe(EXIT.nameInUse);
    expect(complaints(end)).toEqual([expect.stringMatching(/a VM named vm runs on this host already/)]);
    const received = await postcopy(receive('--listen', '127.0.0.1:0'), { runtimeDirectory });
    expect(received.code).toBe(EXIT.nameInUse);
    expect(await verifyWhole(guest)).toBeGreaterThan(0);
    expect(await vm.client.status()).toMatchObject({ state: 'running' });
  });

  test('a disk of another VM of this host: it is named, also to the source of a VM that comes', async () => {
    const [path, own] = [makeRawImage(), makeRawImage()];
    const words = (disk: string) => ['--serial', 'null', '--disk', `path=${disk},id=root`];
    const web = await startSource({ name: 'web', fillMib: 0, words: words(path) });
    const { runtimeDirectory } = web.vm;
    const inUse = new RegExp(`disk root: ${path} is in use by the VM web of this host: stop that first`);
    const end = await postcopy(run('--kernel', guestBinary(), '--disk', `path=${path},id=root`), { runtimeDirectory });
    expect(complaints(end)).toEqual([expect.stringMatching(inUse)]);
    expect(end.stderr).toContain('`postcopy stop web` stops it');
    expect(end.code).toBe(EXIT.diskInUse);

    const source = await startSource({ fillMib: 0, words: words(own) });
    const place = ['--disk', `id=root,path=${path}`];
    const received = postcopy(receive('--listen', '127.0.0.1:0', ...place), { runtimeDirectory });
    const client = new VmClient('vm', join(runtimeDirectory, 'vm.sock'));
    const { listen } = await vi.waitUntil(() => client.status().catch(() => undefined), { timeout: 60_000 });
    const [host, port] = listen!.split(':');
    await staysHere(source, { host: host!, port: Number(port) }, inUse, EXIT.failed);
    expect((await received).stderr).toMatch(inUse);
  });

  test('an image that is not raw', async () => {
    const path = makeRawImage();
    writeFileSync(path, 'QFI\xfb', { encoding: 'latin1', flag: 'r+' });
    const words = run('--kernel', guestBinary(), '--disk', `path=${path},id=root`);
    await fails(words, EXIT.usage, /disk root: .* is an image in the format qcow2, .*format=raw/);
  });

  test('no VM of that name', async () => {
    for (const words of [
      ['stop', 'nobody'],
      ['console', 'nobody'],
      ['migrate', 'nobody', '127.0.0.1:7000'],
    ]) {
      await fails(words, EXIT.noSuchVm, /no VM named nobody runs on this host/);
    }
  });
});

describe('receive', () => {
  test('a port in use', async () => {
    const { address } = await listening(() => {});
    await fails(
      receive('--listen', `127.0.0.1:${address.port}`),
      EXIT.addressInUse,
      /127\.0\.0\.1:\d+ is in use.* --listen HOST:PORT says which/,
    );
  });

  test('an address that this host does not have', async () => {
    // TEST-NET-1 of RFC 5737.
    await fails(receive('--listen', '192.0.2.1:0'), EXIT.usage, /cannot listen on 192\.0\.2\.1/);
    // RFC 3849's for documentation.
    await fails(receive('--listen', '[2001:db8::1]:0'), EXIT.usage, /cannot listen on \[2001:db8::1\]:0/);
  });
});

test('a host whose userfaultfd is forbidden', async () => {
  // Without the device, the system call asks for CAP_SYS_PTRACE where vm.unprivileged_userfaultfd is 0.
  const within = [...after('mount --bind /dev/null /dev/userfaultfd'), 'setpriv', '--bounding-set=-sys_ptrace'];
  expect(readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim()).toBe('0');
  await fails(
    receive('--listen', '127.0.0.1:0'),
    EXIT.hostLacks,
    /no userfaultfd that can be used .*See `postcopy doctor`/,
    { within },
  );
});

interface Listening {
  server: Server;
  address: { host: string; port: number };
}

/** A program that is no postcopy. */
async function listening(onConnection: (socket: Socket) => void): Promise<Listening> {
  return listen(createServer((socket) => onConnection(socket.on('error', () => {}))));
}

async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } };
}

/** The answer of a postcopy with another protocol version: magic, the next version, control channel, verdict, id. */
function answerOfNextVersion(preamble: Buffer): Buffer {
  const answer = Buffer.from(preamble);
  answer.write('POSTCOPY', 0, 'latin1');
  answer.writeUInt16LE(PROTOCOL_VERSION + 1, 8);
  answer[11] = 1;
  return answer;
}

async function staysHere(
  source: LoadedVm,
  address: { host: string; port: number },
  why: RegExp,
  code: number,
  ...words: string[]
): Promise<void> {
  const end = await postcopy(['migrate', 'vm', `${address.host}:${address.port}`, ...words], {
    runtimeDirectory: source.vm.runtimeDirectory,
  });
  expect(complaints(end)).toEqual([expect.stringMatching(why)]);
  expect(complaints(end)[0]).toMatch(/^postcopy: the migration failed, vm runs on here: /);
  expect(end.code).toBe(code);
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
}

describe('migrate to something that is no destination', () => {
  test('nobody there, no postcopy, another version: the VM keeps running', async () => {
    const source = await startSource();
    const closed = await listening(() => {});
    await new Promise((resolve) => closed.server.close(resolve));
    await staysHere(
      source,
      closed.address,
      /cannot reach 127\.0\.0\.1:\d+: .*ECONNREFUSED.* Is `postcopy receive` running there\?/,
      EXIT.unreachable,
    );

    const web = await listen(createHttpServer((_request, response) => response.end('hello')));
    await staysHere(source, web.address, /does not speak the postcopy protocol/, EXIT.badPeer);

    const garbage = await listening((socket) => socket.write(Buffer.alloc(4096, 0xa5)));
    await staysHere(source, garbage.address, /does not speak the postcopy protocol/, EXIT.badPeer);

    const closing = await listening((socket) => socket.end());
    await staysHere(source, closing.address, /no postcopy|broke before it answered/, EXIT.badPeer);

    const newer = await listening((socket) => socket.once('data', (bytes) => socket.write(answerOfNextVersion(bytes))));
    await staysHere(
      source,
      newer.address,
      new RegExp(
        `speaks version ${PROTOCOL_VERSION + 1} of the postcopy protocol, this end versions ${PROTOCOL_VERSIONS.join(' and ')}: install the same`,
      ),
      EXIT.badPeer,
    );

    await staysHere(
      source,
      { host: 'host.invalid', port: 7000 },
      /the host name host\.invalid cannot be looked up/,
      EXIT.unreachable,
      '--plain',
    );
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
  });

  test('a destination that lacks the kernel, or has another: it refuses, goes on waiting, and takes the VM when it fits', async () => {
    const kernel = join(room, 'kernel');
    copyFileSync(guestBinary(), kernel);
    onTestFinished(() => rmSync(kernel, { force: true }));
    const source = await startSource({ kernel });
    const destination = await startDestination();
    rmSync(kernel);
    await staysHere(
      source,
      destination.address,
      /refuses the VM: kernel .* is missing here, or is another one: copy it/,
      EXIT.refused,
    );
    writeFileSync(kernel, 'another');
    await staysHere(
      source,
      destination.address,
      /refuses the VM: kernel .* is missing here, or is another one/,
      EXIT.refused,
    );
    writeFileSync(kernel, readFileSync(guestBinary()).reverse());
    await staysHere(
      source,
      destination.address,
      /refuses the VM: kernel .* is missing here, or is another one/,
      EXIT.refused,
    );
    expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
    await work(source.guest);
    copyFileSync(guestBinary(), kernel);
    expect((await source.vm.client.migrate(destination.address, () => {})).status).toBe('completed');
    expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
  });

  test('a destination with a copy of the disk refuses; the disk is taken, although it was made larger meanwhile', async () => {
    const [own, copy] = [makeRawImage(), makeRawImage()];
    const source = await startSource({ fillMib: 0, words: ['--serial', 'null', '--disk', `path=${own},id=root`] });
    const wrong = await startDestination('vm', ['--disk', `id=root,path=${copy}`]);
    const another = new RegExp(`refuses the VM: disk root: ${copy} is another one than the disk that the VM has`);
    await staysHere(source, wrong.address, another, EXIT.refused);
    truncateSync(own, 2 * statSync(own).size);
    const right = await startDestination('vm', ['--disk', `id=root,path=${own}`]);
    expect((await source.vm.client.migrate(right.address, () => {})).status).toBe('completed');
  });
});
