import { viewOf } from '../memory/byte-view.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { GDT_ADDRESS } from '../memory/layout.js';

/** A segment as both a descriptor in memory (Intel SDM vol. 3, 3.4.5) and struct kvm_segment describe it. */
export interface Segment {
  selector: number;
  base: number;
  /** In bytes; a multiple of 4 KiB less one when `granularity` is set. */
  limit: number;
  /** Type field; for code and data with the accessed bit, which VMX demands. */
  type: number;
  /** 1: code or data, 0: system. */
  notSystem: 0 | 1;
  longMode: 0 | 1;
  /** Default operand size 32 bits. */
  big: 0 | 1;
  granularity: 0 | 1;
}

const FLAT = { base: 0, limit: 0xffffffff, notSystem: 1, granularity: 1 } as const;
const CODE = 0xb; // execute, read, accessed
const DATA = 0x3; // read, write, accessed
const BUSY_TSS = 0xb;

/** 32-bit code, for PVH. */
export const CODE32: Segment = { ...FLAT, selector: 0x08, type: CODE, longMode: 0, big: 1 };
/** 64-bit code; the selector is __BOOT_CS, which the 64-bit boot protocol fixes. */
export const CODE64: Segment = { ...FLAT, selector: 0x10, type: CODE, longMode: 1, big: 0 };
/** Data; the selector is __BOOT_DS, which the 64-bit boot protocol fixes. */
export const DATA_SEGMENT: Segment = { ...FLAT, selector: 0x18, type: DATA, longMode: 0, big: 1 };
/** PVH wants a busy TSS with base 0 and limit 0x67; VMX wants a busy TSS in any case. */
export const TASK_STATE: Segment = {
  selector: 0x20,
  base: 0,
  limit: 0x67,
  type: BUSY_TSS,
  notSystem: 0,
  longMode: 0,
  big: 0,
  granularity: 0,
};

const DESCRIPTOR_BYTES = 8;
/** Null, four segments, and the upper half that the TSS descriptor has in long mode. */
const DESCRIPTORS = 6;
export const GDT_BYTES = DESCRIPTORS * DESCRIPTOR_BYTES;
const PRESENT = 0x80;
const PAGE_GRANULARITY_SHIFT = 12;

/** One 8-byte descriptor, privilege level 0. */
function encodeDescriptor(segment: Segment): bigint {
  const limit = segment.granularity === 1 ? segment.limit >>> PAGE_GRANULARITY_SHIFT : segment.limit;
  const access = PRESENT | (segment.notSystem << 4) | segment.type;
  const flags = (segment.granularity << 3) | (segment.big << 2) | (segment.longMode << 1);
  const low = (((segment.base & 0xffff) << 16) | (limit & 0xffff)) >>> 0;
  const high =
    ((segment.base & 0xff000000) |
      (flags << 20) |
      (limit & 0xf0000) |
      (access << 8) |
      ((segment.base >>> 16) & 0xff)) >>>
    0;
  return (BigInt(high) << 32n) | BigInt(low);
}

/** Puts the boot GDT into guest RAM: the kernel may reload segments before it sets up its own. */
export function writeGdt(memory: GuestMemory): void {
  const gdt = new Uint8Array(GDT_BYTES);
  const view = viewOf(gdt);
  for (const segment of [CODE32, CODE64, DATA_SEGMENT, TASK_STATE]) {
    view.setBigUint64(segment.selector, encodeDescriptor(segment), true);
  }
  memory.write(GDT_ADDRESS, gdt);
}
