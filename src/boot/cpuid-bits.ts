/** Leaves, and bits of them, that postcopy sets or compares: Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E. */

export const LEAF = {
  basic: 0x0,
  version: 0x1,
  cacheParameters: 0x4,
  monitor: 0x5,
  thermalPower: 0x6,
  extendedFeatures: 0x7,
  performanceMonitoring: 0xa,
  extendedTopology: 0xb,
  xsave: 0xd,
  sgx: 0x12,
  processorTrace: 0x14,
  extendedTopologyV2: 0x1f,
  hypervisor: 0x40000000,
  kvmFeatures: 0x40000001,
  /** "Timing information" of VMware's interface, which other hypervisors and guests took over. */
  timing: 0x40000010,
  extendedVersion: 0x80000001,
  advancedPower: 0x80000007,
  addressSizes: 0x80000008,
  svm: 0x8000000a,
  amdCacheParameters: 0x8000001d,
  amdTopology: 0x8000001e,
  memoryEncryption: 0x8000001f,
  extendedFeatures2: 0x80000021,
  amdPerformanceMonitoring: 0x80000022,
} as const;

/** A value with one bit set, as an unsigned number. */
function bit(number: number): number {
  return (1 << number) >>> 0;
}

export const LEAF_1_ECX = {
  monitor: bit(3),
  vmx: bit(5),
  pdcm: bit(15),
  tscDeadline: bit(24),
  osxsave: bit(27),
  hypervisor: bit(31),
} as const;
export const LEAF_1_EDX = { htt: bit(28) } as const;
export const LEAF_7_EBX = { sgx: bit(2), processorTrace: bit(25) } as const;
export const LEAF_7_ECX = { ospke: bit(4), sgxLaunchControl: bit(30) } as const;
export const LEAF_7_EDX = { coreCapabilities: bit(30) } as const;
export const LEAF_80000001_ECX = {
  cmpLegacy: bit(1),
  svm: bit(2),
  monitorx: bit(29),
  perfctrCore: bit(23),
  perfctrNb: bit(24),
} as const;
export const LEAF_80000007_EDX = { invariantTsc: bit(8) } as const;
