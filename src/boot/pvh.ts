import { safeUint64, viewOf } from '../memory/byte-view.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import {
  HIGH_MEMORY_START,
  HOLE_START,
  memoryMap,
  type MemoryMapEntry,
  PVH_MEMORY_MAP_ADDRESS,
  PVH_MODULE_LIST_ADDRESS,
  PVH_START_INFO_ADDRESS,
} from '../memory/layout.js';
import type { BootEntry, BootFiles } from './boot-entry.js';
import { badKernel, requireMemory } from './boot-errors.js';
import { CMDLINE_BYTES_MAX, encodeCommandLine, writeCommandLine } from './command-line.js';
import { findNote } from './elf-notes.js';
import { PT_LOAD, readProgramHeaders, type ProgramHeader } from './elf.js';
import { placeInitrd, writeInitrd, type InitrdPlace } from './initrd.js';

/** xen/include/public/elfnote.h: the physical address of the 32-bit PVH entry point. */
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const XEN_NOTE_NAME = 'Xen';

/** struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h), version 1. */
const START_INFO = {
  magic: 0,
  version: 4,
  nrModules: 12,
  modlistPaddr: 16,
  cmdlinePaddr: 24,
  rsdpPaddr: 32,
  memmapPaddr: 40,
  memmapEntries: 48,
  bytes: 56,
} as const;
const XEN_HVM_START_MAGIC_VALUE = 0x336ec578;
const START_INFO_VERSION = 1;
/** struct hvm_modlist_entry: paddr, size, cmdline_paddr, reserved. */
const MODLIST_ENTRY_BYTES = 32;
/** struct hvm_memmap_table_entry: addr, size, type, reserved. */
const MEMMAP_ENTRY_BYTES = 24;

/**
 * Loads an ELF file with a PVH entry point (Xen docs/misc/pvh.pandoc). `map`: what the guest is told of its RAM. Throws
 * BAD_KERNEL, BAD_CONFIG.
 */
export function loadPvh(
  memory: GuestMemory,
  files: BootFiles,
  rsdpAddress: number,
  map: MemoryMapEntry[] = memoryMap(memory.bytes),
): BootEntry {
  const path = files.kernelPath;
  const headers = readProgramHeaders(files.kernel, path);
  const entryAddress = findEntry(headers, path);
  const segments = checkSegments(headers, memory.bytes, path);
  if (!segments.some((segment) => entryAddress >= segment.paddr && entryAddress < endOf(segment))) {
    throw badKernel(path, `is a damaged ELF file: its PVH entry point 0x${entryAddress.toString(16)} is in no segment`);
  }
  const kernelEnd = Math.max(...segments.map(endOf));
  const initrd = placeInitrd(files, memory.bytes, kernelEnd, HOLE_START);
  const cmdline = encodeCommandLine(files.cmdline, CMDLINE_BYTES_MAX);

  // What memsz has beyond the file's bytes is zero already: RAM is fresh, and segments do not overlap.
  for (const segment of segments) memory.write(segment.paddr, segment.bytes);
  writeInitrd(memory, files, initrd);
  writeStartInfo(memory, initrd, writeCommandLine(memory, cmdline), rsdpAddress, map);
  return { protocol: 'pvh', entryAddress, bootInfoAddress: PVH_START_INFO_ADDRESS };
}

function findEntry(headers: ProgramHeader[], path: string): number {
  const note = findNote(headers, XEN_NOTE_NAME, XEN_ELFNOTE_PHYS32_ENTRY);
  if (note === undefined) {
    throw badKernel(
      path,
      'is an ELF file without a PVH entry point: use a bzImage, or a vmlinux built with CONFIG_PVH',
    );
  }
  const view = viewOf(note);
  if (note.length === 4) return view.getUint32(0, true);
  const address = note.length === 8 ? safeUint64(view, 0) : undefined;
  if (address === undefined) throw badKernel(path, 'is a damaged ELF file: its PVH note holds no address');
  return address;
}

function endOf(segment: ProgramHeader): number {
  return segment.paddr + segment.memsz;
}

/** The PT_LOAD segments that take up memory, ascending; all inside RAM, above 1 MiB, none over another. */
function checkSegments(headers: ProgramHeader[], memoryBytes: number, path: string): ProgramHeader[] {
  const segments = headers.filter((header) => header.type === PT_LOAD && header.memsz > 0);
  segments.sort((a, b) => a.paddr - b.paddr);
  let end = HIGH_MEMORY_START;
  for (const segment of segments) {
    if (segment.paddr < HIGH_MEMORY_START)
      throw badKernel(path, 'has a segment below 1 MiB: link it at 1 MiB or above');
    if (segment.paddr < end) throw badKernel(path, 'is a damaged ELF file: its segments overlap in memory');
    end = endOf(segment);
    requireMemory(path, end, memoryBytes, 'this kernel');
  }
  return segments;
}

function writeStartInfo(
  memory: GuestMemory,
  initrd: InitrdPlace,
  cmdlineAddress: number,
  rsdpAddress: number,
  ranges: MemoryMapEntry[],
): void {
  const info = new Uint8Array(START_INFO.bytes);
  const view = viewOf(info);
  view.setUint32(START_INFO.magic, XEN_HVM_START_MAGIC_VALUE, true);
  view.setUint32(START_INFO.version, START_INFO_VERSION, true);
  if (initrd.bytes > 0) {
    view.setUint32(START_INFO.nrModules, 1, true);
    view.setBigUint64(START_INFO.modlistPaddr, BigInt(PVH_MODULE_LIST_ADDRESS), true);
    memory.write(PVH_MODULE_LIST_ADDRESS, modlistEntry(initrd));
  }
  const map = encodeMemoryMap(ranges);
  memory.write(PVH_MEMORY_MAP_ADDRESS, map);
  view.setBigUint64(START_INFO.cmdlinePaddr, BigInt(cmdlineAddress), true);
  view.setBigUint64(START_INFO.rsdpPaddr, BigInt(rsdpAddress), true);
  view.setBigUint64(START_INFO.memmapPaddr, BigInt(PVH_MEMORY_MAP_ADDRESS), true);
  view.setUint32(START_INFO.memmapEntries, map.length / MEMMAP_ENTRY_BYTES, true);
  memory.write(PVH_START_INFO_ADDRESS, info);
}

function modlistEntry(initrd: InitrdPlace): Uint8Array {
  const entry = new Uint8Array(MODLIST_ENTRY_BYTES);
  const view = viewOf(entry);
  view.setBigUint64(0, BigInt(initrd.address), true);
  view.setBigUint64(8, BigInt(initrd.bytes), true);
  return entry;
}

function encodeMemoryMap(map: MemoryMapEntry[]): Uint8Array {
  const encoded = new Uint8Array(map.length * MEMMAP_ENTRY_BYTES);
  const view = viewOf(encoded);
  map.forEach((entry, index) => {
    const at = index * MEMMAP_ENTRY_BYTES;
    view.setBigUint64(at, BigInt(entry.guestAddress), true);
    view.setBigUint64(at + 8, BigInt(entry.bytes), true);
    view.setUint32(at + 16, entry.type, true);
  });
  return encoded;
}
