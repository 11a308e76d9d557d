import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { DiskConfig } from '../../../src/configure/disk.js';
import { socketPath } from '../../../src/control/runtime-directory.js';
import { ensureRuntimeDirectory } from '../../../src/host/runtime-directory.js';
import { startControlServer } from '../../../src/control/server.js';
import { vmUsingFile } from '../../../src/control/vm-using-file.js';
import { FakeVm, STATUS } from './fake-vm.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-using-'));
  vi.stubEnv('POSTCOPY_RUNTIME_DIR', join(directory, 'run'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

async function serve(name: string, disks: DiskConfig[], pid = 1): Promise<void> {
  ensureRuntimeDirectory();
  const vm = new FakeVm();
  vm.current = { ...STATUS, name, pid, disks };
  const server = await startControlServer({ path: socketPath(name), service: () => vm });
  onTestFinished(() => server.close());
}

it('finds the VM of another process of this host, by whatever path it has the file', async () => {
  const path = join(directory, 'disk.img');
  writeFileSync(path, 'content');
  symlinkSync(path, `${path}.link`);
  await serve('other', []);
  await serve('web', [{ id: 'root', path: `${path}.link`, readonly: false }]);
  await serve('own', [{ id: 'root', path, readonly: false }], process.pid);
  writeFileSync(socketPath('dead'), '');
  expect(await vmUsingFile(path)).toBe('web');
});

it('finds none where none says so, and where there is none', async () => {
  const path = join(directory, 'disk.img');
  writeFileSync(path, 'content');
  expect(await vmUsingFile(path)).toBeUndefined();
  await serve('own', [{ id: 'root', path, readonly: false }], process.pid);
  expect(await vmUsingFile(path)).toBeUndefined();
});
