import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { formatOf, requireRaw } from '../../../src/host/disk-format.js';

const head = (at: number, ...bytes: number[]): Uint8Array => {
  const block = new Uint8Array(512);
  block.set(bytes, at);
  return block;
};
const text = (magic: string): Uint8Array => head(0, ...Buffer.from(magic, 'latin1'));

it.each([
  ['qcow2', head(0, 0x51, 0x46, 0x49, 0xfb)],
  ['VMDK', text('KDMV')],
  ['VMDK', text('# Disk DescriptorFile\nversion=1\n')],
  ['VHDX', text('vhdxfile')],
  ['VHD', text('conectix')],
  ['VDI', head(0x40, 0x7f, 0x10, 0xda, 0xbe)],
  ['QED', text('QED\0')],
  [undefined, text('QFI')],
  [undefined, head(0x1fe, 0x55, 0xaa)],
  [undefined, new Uint8Array(0)],
  [undefined, Uint8Array.of(0x51)],
])('%s', (format, bytes) => expect(formatOf(bytes)).toBe(format));

it('is refused, unless it is said to be meant as it is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-format-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'q.img');
  writeFileSync(path, text('QFI\xfb'));
  const disk = { id: 'root', path, readonly: false };
  expect(() => requireRaw(disk)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
  expect(() => requireRaw(disk)).toThrow(/^disk root: .*q.img is an image in the format qcow2, .* or say format=raw/);
  requireRaw({ ...disk, format: 'raw' });
  writeFileSync(path, new Uint8Array(512));
  requireRaw(disk);
});
