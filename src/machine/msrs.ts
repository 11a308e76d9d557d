/** Packed struct kvm_msr_entry of <linux/kvm.h>: index, reserved, value; 16 bytes each. */
import { viewOf } from '../memory/byte-view.js';

export const MSR_ENTRY_BYTES = 16;
const VALUE_AT = 8;

export interface Msr {
  index: number;
  value: bigint;
}

/** Bytes behind the last whole entry are not looked at. */
export function decodeMsrs(bytes: Uint8Array): Msr[] {
  const view = viewOf(bytes);
  return Array.from({ length: Math.floor(bytes.length / MSR_ENTRY_BYTES) }, (_, i) => ({
    index: view.getUint32(i * MSR_ENTRY_BYTES, true),
    value: view.getBigUint64(i * MSR_ENTRY_BYTES + VALUE_AT, true),
  }));
}

export function encodeMsrs(msrs: readonly Msr[]): Uint8Array {
  const bytes = new Uint8Array(msrs.length * MSR_ENTRY_BYTES);
  const view = viewOf(bytes);
  msrs.forEach(({ index, value }, i) => {
    view.setUint32(i * MSR_ENTRY_BYTES, index, true);
    view.setBigUint64(i * MSR_ENTRY_BYTES + VALUE_AT, value, true);
  });
  return bytes;
}

/** Intel SDM vol. 4; those that a message may name. */
const NAMES: Readonly<Record<number, string>> = {
  0x48: 'IA32_SPEC_CTRL',
  0x8b: 'IA32_BIOS_SIGN_ID',
  0xce: 'MSR_PLATFORM_INFO',
  0x10a: 'IA32_ARCH_CAPABILITIES',
  0x122: 'IA32_TSX_CTRL',
  0x140: 'MISC_FEATURES_ENABLES',
  0x1a0: 'IA32_MISC_ENABLE',
  0x1d9: 'IA32_DEBUGCTL',
  0x345: 'IA32_PERF_CAPABILITIES',
  0xda0: 'IA32_XSS',
};

export function describeMsr(index: number): string {
  const name = NAMES[index];
  return `MSR 0x${index.toString(16)}${name === undefined ? '' : ` (${name})`}`;
}
