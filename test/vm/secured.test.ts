/** Migrations by key and by certificates: everything that crosses is encrypted, and nobody else gets in. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { newMigrationKey } from '../../src/configure/security.js';
import { Authority } from '../support/certificates.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole, type LoadedVm, type WaitingVm } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';

useCleanRoom();

const KEY = newMigrationKey();

function keyFile(key = KEY): string {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-key-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'key');
  writeFileSync(path, `${key}\n`);
  chmodSync(path, 0o600);
  return path;
}

/** As an operator does it at the source's host. */
function migrate({ vm }: LoadedVm, { address }: WaitingVm, ...words: string[]) {
  const to = `${address.host}:${address.port}`;
  return postcopy(['migrate', vm.name, to, ...words], { runtimeDirectory: vm.runtimeDirectory });
}

async function comesWhole({ vm }: WaitingVm): Promise<void> {
  expect(await verifyWhole(await vm.guest())).toBeGreaterThan(0);
}

describe('a VM comes whole', () => {
  test('by a key, given as text and as a file, over several channels', async () => {
    const source = await startSource({ fillMib: 32, cpus: 2 });
    const to = await startDestination('vm', ['--key', KEY]);
    const end = await migrate(source, to, '--key-file', keyFile(), '--channels', '3');
    expect(end).toMatchObject({ code: 0, stderr: '' });
    await comesWhole(to);
  });

  test('by certificates', async () => {
    const authority = new Authority();
    const there = authority.issue('there', 'IP:127.0.0.1');
    const source = await startSource({ fillMib: 32, cpus: 2 });
    const to = await startDestination('vm', ['--tls-dir', there]);
    const end = await migrate(source, to, '--tls-dir', authority.issue('here', 'DNS:here'));
    expect(end).toMatchObject({ code: 0, stderr: '' });
    await comesWhole(to);
  });
});
