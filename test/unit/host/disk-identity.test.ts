import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { comparable, deviceIdentity, diskIdentity, isBlockDevice, sysfsOf } from '../../../src/host/disk-identity.js';

/** A directory as sysfs has it. */
function device(files: Record<string, string>, name = '.'): string {
  const root = mkdtempSync(join(tmpdir(), 'postcopy-sysfs-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), `${content}\n`);
  }
  return join(root, name);
}

describe('what says of a block device which one it is', () => {
  it.each<[string, Record<string, string>, string, string | undefined]>([
    ['a disk of SCSI', { 'device/wwid': 'naa.600140', size: '9' }, '.', 'wwid:naa.600140'],
    ['a disk of NVMe', { wwid: 'eui.01', 'device/serial': 'S1' }, '.', 'wwid:eui.01'],
    ['a virtio disk', { serial: 'vol-01' }, '.', 'serial:vol-01'],
    ['a virtio disk without one', { serial: '' }, '.', undefined],
    ['a logical volume', { 'dm/uuid': 'LVM-abc' }, '.', 'dm:LVM-abc'],
    ['paths to a LUN, as the LUN', { 'dm/uuid': 'mpath-3600140' }, '.', 'wwid:naa.600140'],
    ['a partition', { 'device/wwid': 'naa.1', 'sda2/partition': '2' }, 'sda2', 'wwid:naa.1-part2'],
    ['a partition of what has no name', { 'sda2/partition': '2' }, 'sda2', undefined],
    ['one that says too much', { wwid: 'x'.repeat(600) }, '.', undefined],
  ])('%s', (_, files, name, identity) => expect(deviceIdentity(device(files, name))).toBe(identity));

  it('a file has none, nor has what is not there', () => {
    expect([import.meta.filename, '/nowhere'].map(diskIdentity)).toEqual([undefined, undefined]);
    expect([import.meta.filename, '/nowhere'].map(isBlockDevice)).toEqual([false, false]);
  });
});

it('only names of one kind differ', () => {
  expect(comparable('wwid:a', 'wwid:b')).toBe(true);
  expect(comparable('wwid:a', 'serial:a')).toBe(false);
});

it.each([
  [0x0803, '8:3'],
  [0x1_0307, '259:7'],
  [0x10_fd2c, '253:300'],
  [0xfff0_08ff, '8:1048575'],
])('number %i as stat(2) has it', (rdev, name) => expect(sysfsOf(rdev)).toBe(`/sys/dev/block/${name}`));
