import { viewOf } from '../memory/byte-view.js';
import { BOOT_STACK_TOP, GDT_ADDRESS, PAGE_TABLES_ADDRESS } from '../memory/layout.js';
import type { BootEntry } from './boot-entry.js';
import { CODE32, CODE64, DATA_SEGMENT, GDT_BYTES, TASK_STATE, type Segment } from './gdt.js';

/** Offsets in struct kvm_regs of <linux/kvm.h>: sixteen registers in this order, then rip and rflags. */
const REGS_ORDER = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split(' ');
const REGISTER_BYTES = 8;
export const KVM_REGS_BYTES = REGS_ORDER.length * REGISTER_BYTES;
export const RIP_OFFSET = REGS_ORDER.indexOf('rip') * REGISTER_BYTES;

/** Offsets in struct kvm_segment. */
const SEGMENT = {
  base: 0,
  limit: 8,
  selector: 12,
  type: 14,
  present: 15,
  dpl: 16,
  db: 17,
  s: 18,
  l: 19,
  g: 20,
  avl: 21,
  unusable: 22,
} as const;

/** Offsets in struct kvm_sregs. */
const SREGS = {
  cs: 0,
  ds: 24,
  es: 48,
  fs: 72,
  gs: 96,
  ss: 120,
  tr: 144,
  ldt: 168,
  gdt: 192,
  idt: 208,
  cr0: 224,
  cr2: 232,
  cr3: 240,
  cr4: 248,
  cr8: 256,
  efer: 264,
  apicBase: 272,
} as const;
export const KVM_SREGS_BYTES = 312;
/** struct kvm_dtable: base, then limit. */
const DTABLE_LIMIT = 8;

// Intel SDM vol. 3, 2.5 and 2.2.1.
const CR0_PE = 0x1n;
const CR0_ET = 0x10n;
export const CR0_PG = 0x80000000n;
const CR4_PAE = 0x20n;
export const CR4_LA57 = 0x1000n;
const EFER_LME = 0x100n;
export const EFER_LMA = 0x400n;
/** Bit 1 is always set; interrupts are off. */
const RFLAGS_RESET = 0x2n;
/** User mode runs with interrupts on. */
const RFLAGS_USER = 0x202n;

/**
 * The state of the first vCPU at the kernel's entry point, as struct kvm_regs and struct kvm_sregs. `sregs` is what
 * KVM_GET_SREGS gave, and is not changed: the local APIC's base, for one, has to stay.
 */
export function bootRegisters(entry: BootEntry, sregs: Uint8Array): { regs: Uint8Array; sregs: Uint8Array } {
  if (sregs.length !== KVM_SREGS_BYTES) throw new RangeError(`struct kvm_sregs has ${KVM_SREGS_BYTES} bytes`);
  const patched = Uint8Array.from(sregs);
  const view = viewOf(patched);
  const long = entry.protocol === 'linux64';
  writeSegment(view, SREGS.cs, long ? CODE64 : CODE32);
  for (const at of [SREGS.ds, SREGS.es, SREGS.fs, SREGS.gs, SREGS.ss]) writeSegment(view, at, DATA_SEGMENT);
  writeSegment(view, SREGS.tr, TASK_STATE);
  writeTable(view, SREGS.gdt, GDT_ADDRESS, GDT_BYTES - 1);
  // No IDT: an exception before the kernel has its own is a triple fault, which is reported.
  writeTable(view, SREGS.idt, 0, 0);
  // CR0.CD and CR0.NW, set at reset, go away too.
  view.setBigUint64(SREGS.cr0, long ? CR0_PG | CR0_ET | CR0_PE : CR0_ET | CR0_PE, true);
  view.setBigUint64(SREGS.cr3, long ? BigInt(PAGE_TABLES_ADDRESS) : 0n, true);
  view.setBigUint64(SREGS.cr4, long ? CR4_PAE : 0n, true);
  view.setBigUint64(SREGS.efer, long ? EFER_LME | EFER_LMA : 0n, true);
  return { regs: entryRegisters(entry), sregs: patched };
}

function entryRegisters(entry: BootEntry): Uint8Array {
  const bootInfo = entry.protocol === 'linux64' ? 'rsi' : 'rbx';
  return generalRegisters({
    rip: BigInt(entry.entryAddress),
    rflags: RFLAGS_RESET,
    rsp: BigInt(BOOT_STACK_TOP),
    [bootInfo]: BigInt(entry.bootInfoAddress),
  });
}

/** The registers of a vCPU that is a thread, as struct kvm_regs: RDI has the start info's address, RSI the vCPU's index. */
export function threadRegisters(entryAddress: number, bootInfoAddress: number, index: number): Uint8Array {
  return generalRegisters({
    rip: BigInt(entryAddress),
    rflags: RFLAGS_USER,
    rdi: BigInt(bootInfoAddress),
    rsi: BigInt(index),
  });
}

function generalRegisters(values: Record<string, bigint>): Uint8Array {
  const regs = new Uint8Array(KVM_REGS_BYTES);
  for (const [name, value] of Object.entries(values)) {
    viewOf(regs).setBigUint64(REGS_ORDER.indexOf(name) * REGISTER_BYTES, value, true);
  }
  return regs;
}

function writeSegment(view: DataView, at: number, segment: Segment): void {
  view.setBigUint64(at + SEGMENT.base, BigInt(segment.base), true);
  view.setUint32(at + SEGMENT.limit, segment.limit, true);
  view.setUint16(at + SEGMENT.selector, segment.selector, true);
  view.setUint8(at + SEGMENT.type, segment.type);
  view.setUint8(at + SEGMENT.present, 1);
  view.setUint8(at + SEGMENT.dpl, 0);
  view.setUint8(at + SEGMENT.db, segment.big);
  view.setUint8(at + SEGMENT.s, segment.notSystem);
  view.setUint8(at + SEGMENT.l, segment.longMode);
  view.setUint8(at + SEGMENT.g, segment.granularity);
  view.setUint8(at + SEGMENT.avl, 0);
  view.setUint8(at + SEGMENT.unusable, 0);
}

function writeTable(view: DataView, at: number, base: number, limit: number): void {
  view.setBigUint64(at, BigInt(base), true);
  view.setUint16(at + DTABLE_LIMIT, limit, true);
}

/** What a vCPU's registers point to, and by which tables. */
export interface AddressRegisters {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  /** Linear addresses, those that it needs first: code, stack, tables of the processor; then all that may be addresses. */
  pointers: bigint[];
}

/** Linear addresses in struct kvm_regs: those that the vCPU needs first, code and stack; then all that may be addresses. */
export function generalPointers(regs: Uint8Array): bigint[] {
  const general = viewOf(regs);
  const others = REGS_ORDER.filter((name) => !['rip', 'rsp', 'rflags'].includes(name));
  return ['rip', 'rsp', ...others].map((name) => general.getBigUint64(REGS_ORDER.indexOf(name) * REGISTER_BYTES, true));
}

/** Reads struct kvm_regs and struct kvm_sregs. Throws RangeError if they are shorter. */
export function addressRegisters(regs: Uint8Array, sregs: Uint8Array): AddressRegisters {
  const system = viewOf(sregs);
  const [cr0, cr3, cr4, efer] = [SREGS.cr0, SREGS.cr3, SREGS.cr4, SREGS.efer].map((at) =>
    system.getBigUint64(at, true),
  );
  const bases = [SREGS.gs, SREGS.tr, SREGS.gdt, SREGS.idt, SREGS.fs].map((at) => system.getBigUint64(at, true));
  const [code, stack, ...others] = generalPointers(regs) as [bigint, bigint, ...bigint[]];
  const pointers = [code, stack, ...bases, ...others];
  return { cr0: cr0!, cr3: cr3!, cr4: cr4!, efer: efer!, pointers };
}

/** struct kvm_regs and struct kvm_sregs as lines of text, for the message of a guest that failed. */
export function describeRegisters(regs: Uint8Array, sregs?: Uint8Array): string {
  if (regs.length < KVM_REGS_BYTES || (sregs?.length ?? KVM_SREGS_BYTES) < KVM_SREGS_BYTES) return '(no registers)';
  return [...generalLines(viewOf(regs)), ...(sregs === undefined ? [] : systemLines(viewOf(sregs)))].join('\n');
}

const WIDE_DIGITS = 16;
const REGISTERS_PER_LINE = 4;

function hex(value: bigint | number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function labelled(name: string, value: bigint): string {
  return `${name.padEnd(6)} ${hex(value, WIDE_DIGITS)}`;
}

function generalLines(view: DataView): string[] {
  const shown = ['rip', 'rflags', ...REGS_ORDER.slice(0, -2)];
  return inLines(
    shown.map((name) => labelled(name, view.getBigUint64(REGS_ORDER.indexOf(name) * REGISTER_BYTES, true))),
  );
}

function systemLines(view: DataView): string[] {
  const control = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const;
  const segments = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const;
  return [
    ...inLines([
      ...control.map((name) => labelled(name, view.getBigUint64(SREGS[name], true))),
      labelled('apic', view.getBigUint64(SREGS.apicBase, true)),
    ]),
    ...segments.map((name) => describeSegment(view, name, SREGS[name])),
    ...(['gdt', 'idt'] as const).map((name) => describeTable(view, name, SREGS[name])),
  ];
}

function inLines(items: string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < items.length; at += REGISTERS_PER_LINE) {
    lines.push(items.slice(at, at + REGISTERS_PER_LINE).join('  '));
  }
  return lines;
}

function describeSegment(view: DataView, name: string, at: number): string {
  const byte = (offset: number): number => view.getUint8(at + offset);
  const base = hex(view.getBigUint64(at + SEGMENT.base, true), WIDE_DIGITS);
  const limit = hex(view.getUint32(at + SEGMENT.limit, true), 8);
  const selector = hex(view.getUint16(at + SEGMENT.selector, true), 4);
  const flags = `type ${hex(byte(SEGMENT.type), 1)} dpl ${byte(SEGMENT.dpl)} db ${byte(SEGMENT.db)} l ${byte(SEGMENT.l)}`;
  return `${name.padEnd(6)} ${selector} base ${base} limit ${limit} ${flags}`;
}

function describeTable(view: DataView, name: string, at: number): string {
  const base = hex(view.getBigUint64(at, true), WIDE_DIGITS);
  return `${name.padEnd(6)}      base ${base} limit ${hex(view.getUint16(at + DTABLE_LIMIT, true), 4)}`;
}
