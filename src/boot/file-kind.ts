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
