/** Leaves, and bits of them, that postcopy sets or compares: Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E. */

export const LEAF = {
  basic: 0x0,
  version: 0x1,
  cacheDescriptors: 0x2,
  cacheParameters: 0x4,
  thermalPower: 0x6,
  extendedFeatures: 0x7,
  extendedTopology: 0xb,
  xsave: 0xd,
  extendedTopologyV2: 0x1f,
  avx10: 0x24,
  hypervisor: 0x40000000,
  kvmFeatures: 0x40000001,
  /** "Timing information" of VMware's interface, which other hypervisors and guests took over. */
  timing: 0x40000010,
  extended: 0x80000000,
  extendedVersion: 0x80000001,
  brand: 0x80000002,
  brand2: 0x80000003,
  brand3: 0x80000004,
  amdCacheL1: 0x80000005,
  cacheL2: 0x80000006,
  addressSizes: 0x80000008,
  amdTlb: 0x80000019,
  amdPerformance: 0x8000001a,
  amdCacheParameters: 0x8000001d,
  amdTopology: 0x8000001e,
  extendedFeatures2: 0x80000021,
} as const;

/** A value with one bit set, as an unsigned number. */
function bit(number: number): number {
  return (1 << number) >>> 0;
}

export const LEAF_1_ECX = { tscDeadline: bit(24), xsave: bit(26), osxsave: bit(27), hypervisor: bit(31) } as const;
export const LEAF_1_EDX = { htt: bit(28) } as const;
export const LEAF_7_ECX = { ospke: bit(4), la57: bit(16) } as const;
export const LEAF_7_1_EDX = { avx10: bit(19) } as const;
export const LEAF_80000001_ECX = { cmpLegacy: bit(1) } as const;
