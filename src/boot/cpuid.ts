import {
  LEAF,
  LEAF_1_ECX,
  LEAF_7_EBX,
  LEAF_7_ECX,
  LEAF_7_EDX,
  LEAF_80000001_ECX,
  LEAF_80000007_EDX,
} from './cpuid-bits.js';
import { cpuVendor, decodeCpuid, encodeCpuid, type CpuidEntry, type CpuidRegister } from './cpuid-entries.js';
import { withTopology } from './cpuid-topology.js';

export { missingFeatures } from './cpuid-compare.js';

export interface CpuidOptions {
  /** Number of this vCPU, which is its APIC id too. */
  cpuIndex: number;
  cpus: number;
  /** What KVM_GET_TSC_KHZ gave; 0 if unknown. */
  tscKhz: number;
  /** KVM_CAP_TSC_DEADLINE_TIMER: older kernels do not list the feature in the supported CPUID. */
  tscDeadlineTimer: boolean;
}

/** KVM's local APIC timer counts nanoseconds. */
const APIC_BUS_KHZ = 1_000_000;

/**
 * What the guest never gets, because its state is not migrated or means nothing on another host:
 * nested virtualization, MONITOR/MWAIT (a waiting vCPU would keep its core), performance counters, processor trace, SGX.
 * The invariant TSC goes too: without it Linux keeps kvmclock, which survives a move to a host with another TSC rate.
 */
const REMOVED_BITS: [leaf: number, subleaf: number, register: CpuidRegister, mask: number][] = [
  [LEAF.version, 0, 'ecx', LEAF_1_ECX.monitor | LEAF_1_ECX.vmx | LEAF_1_ECX.pdcm | LEAF_1_ECX.osxsave],
  [LEAF.extendedFeatures, 0, 'ebx', LEAF_7_EBX.sgx | LEAF_7_EBX.processorTrace],
  [LEAF.extendedFeatures, 0, 'ecx', LEAF_7_ECX.ospke | LEAF_7_ECX.sgxLaunchControl],
  [LEAF.extendedFeatures, 0, 'edx', LEAF_7_EDX.coreCapabilities],
  [
    LEAF.extendedVersion,
    0,
    'ecx',
    LEAF_80000001_ECX.svm | LEAF_80000001_ECX.monitorx | LEAF_80000001_ECX.perfctrCore | LEAF_80000001_ECX.perfctrNb,
  ],
  [LEAF.advancedPower, 0, 'edx', LEAF_80000007_EDX.invariantTsc],
];
const ZEROED_LEAVES: ReadonlySet<number> = new Set([
  LEAF.monitor,
  LEAF.performanceMonitoring,
  LEAF.sgx,
  LEAF.processorTrace,
  LEAF.svm,
  LEAF.memoryEncryption,
  LEAF.amdPerformanceMonitoring,
]);

/**
 * CPUID for one vCPU as packed struct kvm_cpuid_entry2, from what KVM_GET_SUPPORTED_CPUID gave (packed likewise).
 * Throws RangeError if that is no list of entries.
 */
export function guestCpuid(supported: Uint8Array, options: CpuidOptions): Uint8Array {
  const entries = decodeCpuid(supported).filter((entry) => entry.function !== LEAF.timing);
  removeFeatures(entries);
  addFeatures(entries, options);
  const complete = withTopology(entries, options, cpuVendor(entries));
  return encodeCpuid([...complete, ...timingLeaf(complete, options)]);
}

function removeFeatures(entries: CpuidEntry[]): void {
  for (const entry of entries) {
    if (ZEROED_LEAVES.has(entry.function)) Object.assign(entry, { eax: 0, ebx: 0, ecx: 0, edx: 0 });
    for (const [leaf, subleaf, register, mask] of REMOVED_BITS) {
      if (entry.function === leaf && entry.index === subleaf) entry[register] = (entry[register] & ~mask) >>> 0;
    }
  }
}

function addFeatures(entries: CpuidEntry[], options: CpuidOptions): void {
  for (const entry of entries) {
    if (entry.function !== LEAF.version) continue;
    entry.ecx = (entry.ecx | LEAF_1_ECX.hypervisor) >>> 0;
    entry.ecx =
      (options.tscDeadlineTimer ? entry.ecx | LEAF_1_ECX.tscDeadline : entry.ecx & ~LEAF_1_ECX.tscDeadline) >>> 0;
  }
}

/** Leaf 0x40000010, TSC and bus kHz, behind KVM's own leaves; the hypervisor leaf has to say that it is there. */
function timingLeaf(entries: CpuidEntry[], options: CpuidOptions): CpuidEntry[] {
  const hypervisor = entries.find((entry) => entry.function === LEAF.hypervisor);
  if (hypervisor === undefined || options.tscKhz === 0) return [];
  hypervisor.eax = Math.max(hypervisor.eax, LEAF.timing);
  return [{ function: LEAF.timing, index: 0, flags: 0, eax: options.tscKhz, ebx: APIC_BUS_KHZ, ecx: 0, edx: 0 }];
}
