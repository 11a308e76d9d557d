import { hasText, safeUint64, viewOf } from '../memory/byte-view.js';
import { HIGH_MEMORY_START } from '../memory/layout.js';
import { isPageAligned } from '../memory/page-size.js';
import { badKernel } from './boot-errors.js';

/** Offsets of the real-mode kernel header, the same in the file and in boot_params (boot.rst, "Details of header fields"). */
export const SETUP_HEADER = {
  setupSects: 0x1f1,
  syssize: 0x1f4,
  vidMode: 0x1fa,
  bootFlag: 0x1fe,
  jump: 0x200,
  jumpDistance: 0x201,
  magic: 0x202,
  version: 0x206,
  typeOfLoader: 0x210,
  loadflags: 0x211,
  code32Start: 0x214,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  cmdLinePtr: 0x228,
  initrdAddrMax: 0x22c,
  xloadflags: 0x236,
  cmdlineSize: 0x238,
  prefAddress: 0x258,
  initSize: 0x260,
} as const;

const MAGIC = 'HdrS';
const BOOT_FLAG = 0xaa55;
const JUMP_SHORT = 0xeb;
const SECTOR_BYTES = 512;
/** "For backwards compatibility, if the setup_sects field contains 0, the real value is 4." */
const SETUP_SECTS_DEFAULT = 4;
const PARAGRAPH_BYTES = 16;
/** 2.12 added xloadflags, without which a 64-bit entry point cannot be told. */
const VERSION_MIN = 0x20c;
const LOADED_HIGH = 1 << 0;
const XLF_KERNEL_64 = 1 << 0;
/** End of the fields read here; every header of protocol 2.12 has them. */
const FIELDS_END = SETUP_HEADER.initSize + 4;
/** The header's place in boot_params ends here; edd_mbr_sig_buffer follows. */
const HEADER_END_MAX = 0x290;

/** What a bzImage says about itself, checked against the file. */
export interface SetupHeader {
  /** The header's bytes to copy to offset 0x1f1 of boot_params. */
  bytes: Uint8Array;
  /** The protected-mode kernel. */
  payload: Uint8Array;
  /** Guest-physical address the kernel wants to be loaded at. */
  loadAddress: number;
  /** Bytes that it uses from there on before it reads the memory map. */
  initSize: number;
  /** First address above which no initrd byte may lie. */
  initrdLimit: number;
  /** Longest command line, without the NUL. */
  cmdlineSize: number;
}

export function isBzImage(kernel: Uint8Array): boolean {
  return hasText(kernel, SETUP_HEADER.magic, MAGIC);
}

/** Reads and checks the header of a file for which isBzImage() holds. Throws BAD_KERNEL. */
export function readSetupHeader(kernel: Uint8Array, path: string): SetupHeader {
  if (kernel.length < FIELDS_END)
    throw badKernel(path, `is a truncated bzImage: ${kernel.length} bytes, no whole header`);
  const view = viewOf(kernel);
  checkKind(view, path);
  const prefAddress = safeUint64(view, SETUP_HEADER.prefAddress);
  if (prefAddress === undefined || prefAddress < HIGH_MEMORY_START || !isPageAligned(prefAddress)) {
    throw badKernel(path, 'is a damaged bzImage: its preferred load address is below 1 MiB or not on a page');
  }
  const payload = payloadOf(kernel, view, path);
  return {
    bytes: headerBytes(kernel, view, path),
    payload,
    loadAddress: prefAddress,
    initSize: Math.max(view.getUint32(SETUP_HEADER.initSize, true), payload.length),
    initrdLimit: view.getUint32(SETUP_HEADER.initrdAddrMax, true) + 1,
    cmdlineSize: view.getUint32(SETUP_HEADER.cmdlineSize, true),
  };
}

function checkKind(view: DataView, path: string): void {
  const version = view.getUint16(SETUP_HEADER.version, true);
  if (view.getUint16(SETUP_HEADER.bootFlag, true) !== BOOT_FLAG) {
    throw badKernel(path, 'is a damaged bzImage: its boot flag is not 0xAA55');
  }
  if (version < VERSION_MIN) {
    const text = `${version >> 8}.${String(version & 0xff).padStart(2, '0')}`;
    throw badKernel(path, `uses Linux boot protocol ${text}; 2.12 or later is needed (Linux 3.8 or later)`);
  }
  if ((view.getUint8(SETUP_HEADER.loadflags) & LOADED_HIGH) === 0) {
    throw badKernel(path, 'is a zImage, which is not supported: use a bzImage');
  }
  if ((view.getUint16(SETUP_HEADER.xloadflags, true) & XLF_KERNEL_64) === 0) {
    throw badKernel(path, 'is a 32-bit Linux kernel: use a 64-bit (x86-64) one');
  }
}

function headerBytes(kernel: Uint8Array, view: DataView, path: string): Uint8Array {
  // "The end of setup header can be calculated as follows: 0x0202 + byte value at offset 0x0201"
  const end = SETUP_HEADER.magic + view.getUint8(SETUP_HEADER.jumpDistance);
  if (
    view.getUint8(SETUP_HEADER.jump) !== JUMP_SHORT ||
    end < FIELDS_END ||
    end > HEADER_END_MAX ||
    end > kernel.length
  ) {
    throw badKernel(path, `is a damaged bzImage: its setup header ends at offset 0x${end.toString(16)}`);
  }
  return kernel.subarray(SETUP_HEADER.setupSects, end);
}

function payloadOf(kernel: Uint8Array, view: DataView, path: string): Uint8Array {
  const setupSects = view.getUint8(SETUP_HEADER.setupSects) || SETUP_SECTS_DEFAULT;
  const start = (setupSects + 1) * SECTOR_BYTES;
  // A signature may follow, so the file's end is not the kernel's.
  const end = start + view.getUint32(SETUP_HEADER.syssize, true) * PARAGRAPH_BYTES;
  if (end > kernel.length) {
    throw badKernel(path, `is a truncated bzImage: its header tells of ${end} bytes, the file has ${kernel.length}`);
  }
  if (end <= start + ENTRY64_OFFSET) throw badKernel(path, 'is a damaged bzImage: it holds no kernel');
  return kernel.subarray(start, end);
}

/** "the kernel is started by jumping to the 64-bit kernel entry point, which is the start address of loaded 64-bit
 *  kernel plus 0x200" */
export const ENTRY64_OFFSET = 0x200;
