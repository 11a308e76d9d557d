import { hasText } from '../memory/byte-view.js';

/** Files that are given as kernels by mistake, by what they begin with. */
const KINDS: { offset: number; text: string; kind: string }[] = [
  { offset: 0, text: '\x1f\x8b', kind: 'a gzip file' },
  { offset: 0, text: '\xfd7zXZ', kind: 'an xz file' },
  { offset: 0, text: '\x28\xb5\x2f\xfd', kind: 'a zstd file' },
  { offset: 0, text: '070701', kind: 'an initramfs (cpio)' },
  { offset: 0, text: 'QFI\xfb', kind: 'a qcow2 disk image' },
  { offset: 0, text: '#!', kind: 'a script' },
  { offset: 56, text: 'ARM\x64', kind: 'a Linux kernel for arm64' },
  { offset: 0, text: 'MZ', kind: 'an EFI or Windows program' },
];

/** A guess, for messages, at what a file is that cannot be booted. */
export function describeFileKind(file: Uint8Array): string {
  if (file.length === 0) return 'empty';
  return KINDS.find(({ offset, text }) => hasText(file, offset, text))?.kind ?? 'no kernel';
}

/** How the archives that Linux takes for an initramfs begin: cpio, or one of the compressions it knows. */
const INITRD_MAGICS = [
  ...['070701', '070702', '\x1f\x8b', '\xfd7zXZ', '\x28\xb5\x2f\xfd'],
  ...['BZh', '\x5d\0\0', '\x89LZO', '\x02\x21\x4c\x18'],
];

export function isInitrd(file: Uint8Array): boolean {
  return INITRD_MAGICS.some((text) => hasText(file, 0, text));
}
