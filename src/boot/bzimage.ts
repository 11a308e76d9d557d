import { viewOf } from '../memory/byte-view.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { memoryMap, ZERO_PAGE_ADDRESS } from '../memory/layout.js';
import { PAGE_SIZE } from '../memory/page-size.js';
import type { BootEntry, BootFiles } from './boot-entry.js';
import { requireMemory } from './boot-errors.js';
import { encodeCommandLine, writeCommandLine } from './command-line.js';
import { placeInitrd, writeInitrd, type InitrdPlace } from './initrd.js';
import { ENTRY64_OFFSET, readSetupHeader, SETUP_HEADER, type SetupHeader } from './setup-header.js';

/** Fields of struct boot_params outside the setup header (Documentation/arch/x86/zero-page.rst). */
const BOOT_PARAMS = { acpiRsdpAddr: 0x070, e820Entries: 0x1e8, e820Table: 0x2d0 } as const;
const E820_ENTRY_BYTES = 20;
/** A boot loader without an assigned number (boot.rst, type_of_loader). */
const LOADER_UNDEFINED = 0xff;
/** "normal" text mode: nothing to choose. */
const VIDEO_MODE_NORMAL = 0xffff;

/** Loads a bzImage for the 64-bit boot protocol (Documentation/arch/x86/boot.rst). Throws BAD_KERNEL, BAD_CONFIG. */
export function loadBzImage(memory: GuestMemory, files: BootFiles, rsdpAddress: number): BootEntry {
  const header = readSetupHeader(files.kernel, files.kernelPath);
  const kernelEnd = header.loadAddress + header.initSize;
  requireMemory(files.kernelPath, kernelEnd, memory.bytes, 'this kernel');
  const initrd = placeInitrd(files, memory.bytes, kernelEnd, header.initrdLimit);
  const cmdline = encodeCommandLine(files.cmdline, header.cmdlineSize);

  memory.write(header.loadAddress, header.payload);
  writeInitrd(memory, files, initrd);
  const cmdlineAddress = writeCommandLine(memory, cmdline);
  memory.write(ZERO_PAGE_ADDRESS, bootParams(memory.bytes, header, initrd, cmdlineAddress, rsdpAddress));
  return {
    protocol: 'linux64',
    entryAddress: header.loadAddress + ENTRY64_OFFSET,
    bootInfoAddress: ZERO_PAGE_ADDRESS,
  };
}

function bootParams(
  memoryBytes: number,
  header: SetupHeader,
  initrd: InitrdPlace,
  cmdlineAddress: number,
  rsdpAddress: number,
): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = viewOf(page);
  page.set(header.bytes, SETUP_HEADER.setupSects);
  view.setUint8(SETUP_HEADER.typeOfLoader, LOADER_UNDEFINED);
  view.setUint16(SETUP_HEADER.vidMode, VIDEO_MODE_NORMAL, true);
  view.setUint32(SETUP_HEADER.code32Start, header.loadAddress, true);
  view.setUint32(SETUP_HEADER.ramdiskImage, initrd.address, true);
  view.setUint32(SETUP_HEADER.ramdiskSize, initrd.bytes, true);
  view.setUint32(SETUP_HEADER.cmdLinePtr, cmdlineAddress, true);
  view.setBigUint64(BOOT_PARAMS.acpiRsdpAddr, BigInt(rsdpAddress), true);
  writeE820(view, memoryBytes);
  return page;
}

function writeE820(view: DataView, memoryBytes: number): void {
  const map = memoryMap(memoryBytes);
  view.setUint8(BOOT_PARAMS.e820Entries, map.length);
  map.forEach((entry, index) => {
    const at = BOOT_PARAMS.e820Table + index * E820_ENTRY_BYTES;
    view.setBigUint64(at, BigInt(entry.guestAddress), true);
    view.setBigUint64(at + 8, BigInt(entry.bytes), true);
    view.setUint32(at + 16, entry.type, true);
  });
}
