/**
 * Formats of disk images that are no raw disk, by how they begin. Whoever runs one as raw shows the guest the image's own
 * tables, and the first write of the guest destroys it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { DiskConfig } from '../configure/disk.js';
import { diskError } from './disk-errors.js';

const latin = (text: string): Uint8Array => Buffer.from(text, 'latin1');

const MAGICS: readonly { format: string; at: number; magic: Uint8Array }[] = [
  { format: 'qcow2', at: 0, magic: latin('QFI\xfb') },
  { format: 'QED', at: 0, magic: latin('QED\0') },
  { format: 'VMDK', at: 0, magic: latin('KDMV') },
  { format: 'VMDK', at: 0, magic: latin('COWD') },
  { format: 'VMDK', at: 0, magic: latin('# Disk DescriptorFile') },
  { format: 'VHDX', at: 0, magic: latin('vhdxfile') },
  { format: 'VHD', at: 0, magic: latin('conectix') },
  { format: 'VDI', at: 0x40, magic: latin('\x7f\x10\xda\xbe') },
  { format: 'Parallels', at: 0, magic: latin('WithoutFreeSpace') },
  { format: 'Parallels', at: 0, magic: latin('WithouFreSpacExt') },
];
const HEAD_BYTES = 512;

/** The format that a file beginning so has; undefined for what can be a raw disk. */
export function formatOf(head: Uint8Array): string | undefined {
  const has = (magic: Uint8Array, at: number) => Buffer.compare(head.subarray(at, at + magic.length), magic) === 0;
  return MAGICS.find(({ at, magic }) => has(magic, at))?.format;
}

/** Throws BAD_CONFIG for an image in another format, unless the settings say that it is meant as it is. */
export function requireRaw(config: DiskConfig): void {
  const format = config.format === undefined ? formatOfFile(config.path) : undefined;
  if (format === undefined) return;
  const why =
    `is an image in the format ${format}, and a disk is a raw one: convert it (qemu-img convert -O raw), or say ` +
    'format=raw if the guest is to see it as it is';
  throw diskError('BAD_CONFIG', config, why);
}

function formatOfFile(path: string): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const head = new Uint8Array(HEAD_BYTES);
    return formatOf(head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0)));
  } finally {
    closeSync(fd);
  }
}
