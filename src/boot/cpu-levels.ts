/**
 * The levels of the x86-64 psABI ("Low Level System Information", table 3.1), as CPUs of guests that move within a pool of
 * mixed hosts. A guest of a level sees what the level asks for, and beside that only what KVM gives by itself on every CPU:
 * so whichever host has the level can take it.
 */
import type { CpuLevel, CpuName } from '../configure/cpu-setting.js';
import { KVM_FEATURES, MOVABLE_BITS, type Allowed } from './cpuid-allowed.js';
import { findLeaf, type CpuidEntry } from './cpuid-entries.js';
import { describeBits, FEATURE_REGISTERS, masksOf, type FeatureSet } from './cpuid-names.js';

/** The first level, and what a 64-bit kernel needs beside it: every CPU that KVM runs on has these. */
const BASELINE: FeatureSet = {
  '1.0.edx': 'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2',
  '80000001.0.edx': 'syscall nx lm',
};
/** What each level adds to the one before. */
const V2: FeatureSet = { '1.0.ecx': 'sse3 ssse3 cx16 sse4_1 sse4_2 popcnt', '80000001.0.ecx': 'lahf_lm' };
const V3: FeatureSet = {
  '1.0.ecx': 'fma movbe xsave avx f16c',
  '7.0.ebx': 'bmi1 avx2 bmi2',
  'd.0.eax': 'x87_state sse_state avx_state',
  '80000001.0.ecx': 'abm',
};
const V4: FeatureSet = {
  '7.0.ebx': 'avx512f avx512dq avx512cd avx512bw avx512vl',
  'd.0.eax': 'opmask_state zmm_hi256_state hi16_zmm_state',
};
/** What KVM gives without the CPU's help, and AMD's repetition of leaf 1. */
const GIVEN: FeatureSet = {
  '1.0.ecx': 'x2apic tsc_deadline_timer hypervisor',
  '1.0.edx': 'ht',
  '6.0.eax': 'arat',
  '7.0.ebx': 'tsc_adjust',
  '40000001.0.eax': KVM_FEATURES,
  '80000001.0.ecx': 'cmp_legacy',
  '80000001.0.edx': 'fpu vme de pse tsc msr pae mce cx8 apic mtrr pge mca cmov pat pse36 mmx fxsr',
};

/** The lowest first. */
const NEEDED: Record<CpuLevel, Allowed> = {
  'x86-64-v2': joined(BASELINE, V2),
  'x86-64-v3': joined(BASELINE, V2, V3),
  'x86-64-v4': joined(BASELINE, V2, V3, V4),
};
const LEVELS = Object.keys(NEEDED) as CpuLevel[];

/** Physical address bits that the least of the CPUs of a level has. */
const ADDRESS_BITS: Record<CpuLevel, number> = { 'x86-64-v2': 36, 'x86-64-v3': 39, 'x86-64-v4': 39 };

function joined(...sets: FeatureSet[]): Allowed {
  const masks: Record<string, number> = {};
  for (const set of sets) {
    for (const [key, mask] of Object.entries(masksOf(set))) masks[key] = ((masks[key] ?? 0) | mask) >>> 0;
  }
  return masks;
}

/** The bits that a guest with this CPU may have. */
export function allowedOf(cpu: CpuName): Allowed {
  if (cpu === 'host') return MOVABLE_BITS;
  const masks: Record<string, number> = { ...masksOf(GIVEN) };
  for (const [key, mask] of Object.entries(NEEDED[cpu])) masks[key] = ((masks[key] ?? 0) | mask) >>> 0;
  return masks;
}

/** What a host lacks of a level, as `0x7.ebx.5 (avx2)`. `offered`: of its CPUID what may pass. */
export function missingOfLevel(level: CpuLevel, offered: readonly CpuidEntry[]): string[] {
  return FEATURE_REGISTERS.flatMap((register) => {
    const needed = NEEDED[level][register.key] ?? 0;
    const there = findLeaf(offered, register.leaf, register.subleaf)?.[register.register] ?? 0;
    return describeBits(register, needed & ~there);
  });
}

/** The highest level that a host has; undefined if it has none. */
export function highestLevel(offered: readonly CpuidEntry[]): CpuLevel | undefined {
  return LEVELS.findLast((level) => missingOfLevel(level, offered).length === 0);
}

/** Physical address bits that a guest with this CPU and RAM up to `ramEnd` (bytes) has on a host of `hostBits`. */
export function addressBits(cpu: CpuName, hostBits: number, ramEnd: number): number {
  if (cpu === 'host') return hostBits;
  return Math.min(hostBits, Math.max(ADDRESS_BITS[cpu], Math.ceil(Math.log2(ramEnd))));
}
