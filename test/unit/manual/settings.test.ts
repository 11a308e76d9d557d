import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadVmConfig } from '../../../src/configure/config-file.js';
import { vmSettingsSchema } from '../../../src/configure/vm-config.js';
import { blockOfPage } from '../../support/manual.js';

test("the manual's configuration file is one", () => {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-manual-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'web.json');
  const text = blockOfPage('postcopy-settings.7', '{', 'json');
  writeFileSync(file, text);
  expect(loadVmConfig(file, {})).toMatchObject({
    name: 'web',
    kernel: join(directory, 'vmlinuz'),
    memoryBytes: 512 * 1024 * 1024,
    disks: [
      { id: 'root', path: join(directory, 'root.img'), readonly: false },
      { id: 'disk1', path: join(directory, 'data.img'), readonly: true },
    ],
    nets: [{ id: 'net0', tap: 'web0', bridge: 'br0' }],
  });
  for (const name of Object.keys(JSON.parse(text) as object)) expect(vmSettingsSchema.shape).toHaveProperty(name);
});
