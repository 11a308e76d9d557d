/** Who is not known to a destination: nothing is done for him, and he keeps nobody out. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { newMigrationKey } from '../../src/configure/security.js';
import { clientOptions, LET_IN } from '../../src/migrate/link/tls.js';
import { decodePreamble, encodePreamble, PREAMBLE_BYTES, VERDICTS } from '../../src/migrate/wire/preamble.js';
import { PROTOCOL_VERSION } from '../../src/migrate/wire/protocol.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, type LoadedVm, type WaitingVm } from '../support/guest-vms.js';
import { settledDescriptors } from '../support/hostile-source.js';
import { postcopy } from '../support/postcopy.js';

useCleanRoom();

const KEY = newMigrationKey();
const ID = new Uint8Array(16).fill(7);
/** More than may greet at one time. */
const STRANGERS = 200;
const GIB_OF_STATE = Uint8Array.of(0, 0, 0, 64, 4, 0, 0, 0);

function migrate({ vm }: LoadedVm, { address }: WaitingVm, ...words: string[]) {
  const to = `${address.host}:${address.port}`;
  return postcopy(['migrate', vm.name, to, ...words], { runtimeDirectory: vm.runtimeDirectory });
}

function open({ address }: WaitingVm, bytes?: string | Uint8Array): Socket {
  const socket = connect(address);
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  if (bytes !== undefined) socket.write(bytes);
  return socket;
}

/** All that it is told until it is closed. */
async function told(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(parts);
}

/** As one that is known. */
async function openKnown({ address }: WaitingVm, ...bytes: Uint8Array[]): Promise<TLSSocket> {
  const socket = connectTls({ ...address, ...clientOptions({ kind: 'key', key: KEY }, address.host) });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  for (const part of bytes) socket.write(part);
  return socket;
}

test('strangers get neither in, nor anything told, and a VM comes past them', async () => {
  const source = await startSource({ fillMib: 16 });
  const to = await startDestination('vm', ['--key', KEY]);
  const before = await settledDescriptors(to);

  // A port scan, and what speaks something else.
  open(to).destroy();
  expect(await told(open(to, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))).toHaveLength(0);
  expect(await told(open(to, Buffer.alloc(1 << 16, 0xa5)))).toHaveLength(0);
  // TLS without a key, and with another one: an alert of TLS, no more.
  const without = connectTls({ ...to.address, rejectUnauthorized: false });
  expect(await once(without, 'secureConnect').catch((error: Error) => error.message)).toMatch(/alert/);
  const wrong = await migrate(source, to, '--key', newMigrationKey());
  expect(wrong).toMatchObject({ code: 10, stdout: '' });
  expect(wrong.stderr).toMatch(/vm runs on here: \S+ does not wait with this key\. .*the one that it printed last/);
  // Without TLS one of ours is told that it is wanted.
  const plain = await migrate(source, to);
  expect(plain).toMatchObject({ code: 10, stdout: '' });
  expect(plain.stderr).toMatch(/vm runs on here: \S+ takes no VM without the key .* --key KEY/);

  // The right key and no migration that there is; and a VM that is none.
  const verdict = await told(await openKnown(to, encodePreamble(PROTOCOL_VERSION, 'bulk', 0, ID)));
  expect(verdict.subarray(0, 1)).toEqual(Buffer.from(LET_IN));
  expect(VERDICTS[decodePreamble(new Uint8Array(verdict.subarray(1))).index]).toBe('stranger');
  const control = encodePreamble(PROTOCOL_VERSION, 'control', 0, ID);
  const huge = await told(await openKnown(to, control, GIB_OF_STATE));
  expect(huge.length).toBeGreaterThanOrEqual(1 + PREAMBLE_BYTES);

  expect(await settledDescriptors(to)).toBeLessThan(before + 10);
  const idle = Array.from({ length: STRANGERS }, (_, i) => open(to, i % 2 === 0 ? undefined : Buffer.of(0x16, 3, 1)));
  await Promise.all(idle.map((socket) => once(socket, 'connect')));
  expect(await migrate(source, to, '--key', KEY)).toMatchObject({ code: 0, stderr: '' });
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
});

test('who resets a connection before it is accepted ends nothing', async () => {
  const [source, to] = await Promise.all([startSource({ fillMib: 16 }), startDestination()]);
  to.vm.kill('SIGSTOP');
  const gone = Array.from({ length: 8 }, () => open(to));
  await Promise.all(gone.map((socket) => once(socket, 'connect')));
  for (const socket of gone) socket.resetAndDestroy();
  to.vm.kill('SIGCONT');
  expect(await migrate(source, to)).toMatchObject({ code: 0, stderr: '' });
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
});

test('a source with a key finds a destination without one, and strangers who say nothing there', async () => {
  const source = await startSource({ fillMib: 16 });
  const to = await startDestination();
  const keyed = await migrate(source, to, '--key', KEY);
  expect(keyed).toMatchObject({ code: 9, stdout: '' });
  expect(keyed.stderr).toMatch(/vm runs on here: \S+ broke off when it was asked to prove who it is.* --plain/);
  const idle = Array.from({ length: STRANGERS }, () => open(to));
  await Promise.all(idle.map((socket) => once(socket, 'connect')));
  expect(await migrate(source, to)).toMatchObject({ code: 0, stderr: '' });
  expect(await verifyWhole(await to.vm.guest())).toBeGreaterThan(0);
});
