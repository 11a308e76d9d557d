import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { vmSettingsJsonSchema } from '../../../src/configure/vm-settings-json-schema.js';
import { vmSettingsSchema } from '../../../src/configure/vm-config.js';

const file: object = JSON.parse(
  readFileSync(new URL('../../../src/configure/vm-settings.schema.json', import.meta.url), 'utf8'),
);

it('vm-settings.schema.json is current: else run `npm run schema`', () => {
  expect(file).toEqual(JSON.parse(JSON.stringify(vmSettingsJsonSchema())));
});

it('says what each setting is', () => {
  const { properties } = file as { properties: Record<string, { description?: string }> };
  expect(Object.keys(properties).sort()).toEqual(Object.keys(vmSettingsSchema.shape).sort());
  for (const [name, { description }] of Object.entries(properties)) expect(description, name).toMatch(/\w/);
});

const accepts = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(file);
const least = { name: 'vm1', kernel: 'vmlinuz' };

it.each([
  {},
  { $schema: './vm-settings.schema.json' },
  { initrd: '/srv/initrd', cmdline: '', memory: '512M', cpus: 16, serial: 'null', console: 'stdio', reboot: false },
  { memory: ' 1.5 gib ', cpus: '2', serial: 'unix:/run/a b.sock', console: 'file:ü' },
  { memory: '65536k' },
  { machine: 'threads', cpus: 64 },
  { machine: 'kvm', cpus: '64' },
])('both accept %j', (change) => {
  const settings = { ...least, ...change };
  expect(accepts(settings)).toBe(true);
  expect(vmSettingsSchema.safeParse(settings).success).toBe(true);
});

it.each([
  { name: undefined },
  { name: '' },
  { name: '../x' },
  { name: 'a'.repeat(65) },
  { name: 1 },
  { kernel: undefined },
  { kernel: '' },
  { kernel: 'a\0' },
  { initrd: '' },
  { cmdline: 1 },
  { memory: 1024 },
  { memory: '1024' },
  { memory: '1X' },
  { cpus: 0 },
  { cpus: 65 },
  { machine: 'qemu' },
  { cpus: 1.5 },
  { cpus: '65' },
  { cpus: 'x' },
  { cpus: null },
  { serial: 'tty' },
  { serial: 'file:' },
  { console: 1 },
  { reboot: 'no' },
  { $schema: 1 },
  { kernle: 'k' },
])('both refuse %j', (change) => {
  const settings = JSON.parse(JSON.stringify({ ...least, ...change })) as object;
  expect(accepts(settings)).toBe(false);
  expect(vmSettingsSchema.safeParse(settings).success).toBe(false);
});

/** What a pattern cannot say. */
it.each([{ memory: '1M' }, { memory: '9000T' }, { memory: '65537K' }, { serial: `unix:/${'x'.repeat(120)}` }])(
  'only the program refuses %j',
  (change) => {
    const settings = { ...least, ...change };
    expect(accepts(settings)).toBe(true);
    expect(vmSettingsSchema.safeParse(settings).success).toBe(false);
  },
);
