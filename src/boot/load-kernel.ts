import type { GuestMemory } from '../memory/guest-memory.js';
import type { BootEntry, BootFiles } from './boot-entry.js';
import { badKernel } from './boot-errors.js';
import { loadBzImage } from './bzimage.js';
import { isElf } from './elf.js';
import { describeFileKind } from './file-kind.js';
import { writeGdt } from './gdt.js';
import { writePageTables } from './page-tables.js';
import { loadPvh } from './pvh.js';
import { isBzImage } from './setup-header.js';

export type { BootEntry, BootFiles } from './boot-entry.js';

/**
 * Puts kernel, initrd, command line and boot information into fresh (zero) guest RAM, and says how to enter the kernel.
 * `rsdpAddress` is what writeAcpiTables() returned. Throws PostcopyError: BAD_KERNEL for files that cannot be booted in
 * this guest, BAD_CONFIG for a command line that the kernel would not take whole.
 */
export function loadKernel(memory: GuestMemory, files: BootFiles, rsdpAddress: number): BootEntry {
  const entry = loadByKind(memory, files, rsdpAddress);
  writeGdt(memory);
  if (entry.protocol === 'linux64') writePageTables(memory);
  return entry;
}

function loadByKind(memory: GuestMemory, files: BootFiles, rsdpAddress: number): BootEntry {
  if (isBzImage(files.kernel)) return loadBzImage(memory, files, rsdpAddress);
  if (isElf(files.kernel)) return loadPvh(memory, files, rsdpAddress);
  const kind = describeFileKind(files.kernel);
  throw badKernel(files.kernelPath, `is ${kind}: a Linux bzImage, or an ELF file with a PVH entry point, is needed`);
}
