/** The CPUID of a guest: of what a host's KVM supports that which may be moved, and what belongs to this vCPU alone. */
import type { CpuName } from '../configure/cpu-setting.js';
import { PostcopyError } from '../errors.js';
import { addressBits, allowedOf, highestLevel, missingOfLevel } from './cpu-levels.js';
import { LEAF, LEAF_1_ECX, LEAF_7_ECX } from './cpuid-bits.js';
import { allowedCpuid } from './cpuid-allowed.js';
import { cpuVendor, decodeCpuid, encodeCpuid, findLeaf, type CpuidEntry } from './cpuid-entries.js';
import { withTopology } from './cpuid-topology.js';

export interface CpuidOptions {
  cpu: CpuName;
  /** Number of this vCPU, which is its APIC id too. */
  cpuIndex: number;
  cpus: number;
  /** Guest-physical address behind the last byte of RAM. */
  ramEnd: number;
  /** What KVM_GET_TSC_KHZ gave; 0 if unknown. */
  tscKhz: number;
  /** KVM_CAP_TSC_DEADLINE_TIMER: older kernels do not list the feature in the supported CPUID. */
  tscDeadlineTimer: boolean;
}

/** KVM's local APIC timer counts nanoseconds. */
const APIC_BUS_KHZ = 1_000_000;

/** Linear address bits of a CPU without five-level paging. */
const LINEAR_BITS = 48;

/**
 * CPUID for one vCPU as packed struct kvm_cpuid_entry2, from what KVM_GET_SUPPORTED_CPUID gave (packed likewise). Throws
 * HOST_LACKS if the host has not what the level asks for, RangeError if `supported` is no list of entries.
 */
export function guestCpuid(supported: Uint8Array, options: CpuidOptions): Uint8Array {
  const host = decodeCpuid(supported);
  requireLevel(options.cpu, allowedCpuid(host));
  const entries = allowedCpuid(host, allowedOf(options.cpu));
  addFeatures(entries, options);
  limitAddresses(entries, options);
  const complete = withTopology(entries, options, cpuVendor(entries));
  return encodeCpuid([...complete, ...timingLeaf(complete, options)]);
}

function requireLevel(cpu: CpuName, offered: CpuidEntry[]): void {
  const missing = cpu === 'host' ? [] : missingOfLevel(cpu, offered);
  if (missing.length === 0) return;
  const highest = highestLevel(offered) ?? 'host';
  throw new PostcopyError(
    'HOST_LACKS',
    `this host's CPU is no ${cpu}, it lacks ${missing.join(', ')}: boot it as ${highest}, or on another host`,
    undefined,
    [{ kind: 'cpu-above', highest }],
  );
}

function addFeatures(entries: CpuidEntry[], options: CpuidOptions): void {
  for (const entry of entries) {
    if (entry.function !== LEAF.version) continue;
    entry.ecx = (entry.ecx | LEAF_1_ECX.hypervisor) >>> 0;
    entry.ecx =
      (options.tscDeadlineTimer ? entry.ecx | LEAF_1_ECX.tscDeadline : entry.ecx & ~LEAF_1_ECX.tscDeadline) >>> 0;
  }
}

/** EAX: physical address bits 7:0, linear 15:8, of a guest's guest 23:16. */
function limitAddresses(entries: CpuidEntry[], { cpu, ramEnd }: CpuidOptions): void {
  const leaf = findLeaf(entries, LEAF.addressSizes);
  if (leaf === undefined || cpu === 'host') return;
  const fiveLevels = ((findLeaf(entries, LEAF.extendedFeatures)?.ecx ?? 0) & LEAF_7_ECX.la57) !== 0;
  const linear = (leaf.eax >>> 8) & 0xff;
  leaf.eax = ((fiveLevels ? linear : Math.min(linear, LINEAR_BITS)) << 8) | addressBits(cpu, leaf.eax & 0xff, ramEnd);
}

/** Leaf 0x40000010, TSC and bus kHz, behind KVM's own leaves; the hypervisor leaf has to say that it is there. */
function timingLeaf(entries: CpuidEntry[], options: CpuidOptions): CpuidEntry[] {
  const hypervisor = entries.find((entry) => entry.function === LEAF.hypervisor);
  if (hypervisor === undefined || options.tscKhz === 0) return [];
  hypervisor.eax = Math.max(hypervisor.eax, LEAF.timing);
  return [{ function: LEAF.timing, index: 0, flags: 0, eax: options.tscKhz, ebx: APIC_BUS_KHZ, ecx: 0, edx: 0 }];
}
