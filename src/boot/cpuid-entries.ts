import { viewOf } from '../memory/byte-view.js';

export type CpuidRegister = 'eax' | 'ebx' | 'ecx' | 'edx';

/** struct kvm_cpuid_entry2 of <linux/kvm.h>, less its padding. */
export interface CpuidEntry extends Record<CpuidRegister, number> {
  /** The leaf. */
  function: number;
  /** The subleaf; counts only with SIGNIFICANT_INDEX. */
  index: number;
  flags: number;
}

const CPUID_ENTRY_BYTES = 40;
/** KVM_CPUID_FLAG_SIGNIFCANT_INDEX */
export const SIGNIFICANT_INDEX = 1;
/** Upper bound of what KVM takes (KVM_MAX_CPUID_ENTRIES), and so of what a peer may send. */
const CPUID_ENTRIES_MAX = 256;

const FIELDS = ['function', 'index', 'flags', 'eax', 'ebx', 'ecx', 'edx'] as const;
const FIELD_BYTES = 4;

/** Whether these can be packed entries: of what a peer sends. */
export function isCpuid({ length }: Uint8Array): boolean {
  return length % CPUID_ENTRY_BYTES === 0 && length <= CPUID_ENTRIES_MAX * CPUID_ENTRY_BYTES;
}

/** Decodes packed entries. Throws RangeError for a length that cannot be. */
export function decodeCpuid(bytes: Uint8Array): CpuidEntry[] {
  const count = bytes.length / CPUID_ENTRY_BYTES;
  if (!isCpuid(bytes)) {
    throw new RangeError(`${bytes.length} bytes are no list of at most ${CPUID_ENTRIES_MAX} CPUID entries`);
  }
  const view = viewOf(bytes);
  return Array.from({ length: count }, (_, entry) => {
    const field = (number: number): number => view.getUint32(entry * CPUID_ENTRY_BYTES + number * FIELD_BYTES, true);
    return {
      function: field(0),
      index: field(1),
      flags: field(2),
      eax: field(3),
      ebx: field(4),
      ecx: field(5),
      edx: field(6),
    };
  });
}

export function encodeCpuid(entries: CpuidEntry[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * CPUID_ENTRY_BYTES);
  const view = viewOf(bytes);
  entries.forEach((entry, index) => {
    FIELDS.forEach((field, number) => {
      view.setUint32(index * CPUID_ENTRY_BYTES + number * FIELD_BYTES, entry[field] >>> 0, true);
    });
  });
  return bytes;
}

/** The entry for a leaf and subleaf, or undefined: such a leaf reads as zeros. */
export function findLeaf(entries: readonly CpuidEntry[], leaf: number, subleaf = 0): CpuidEntry | undefined {
  return entries.find((entry) => {
    if (entry.function !== leaf) return false;
    return (entry.flags & SIGNIFICANT_INDEX) === 0 || entry.index === subleaf;
  });
}

/** The twelve letters of leaf 0: EBX, EDX, ECX. */
export function cpuVendor(entries: readonly CpuidEntry[]): string {
  const leaf = findLeaf(entries, 0);
  if (leaf === undefined) return '';
  const letters = (value: number): string =>
    String.fromCharCode(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  return letters(leaf.ebx) + letters(leaf.edx) + letters(leaf.ecx);
}
