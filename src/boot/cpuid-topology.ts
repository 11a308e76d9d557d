import { findLeaf, SIGNIFICANT_INDEX, type CpuidEntry } from './cpuid-entries.js';
import { LEAF, LEAF_1_EDX, LEAF_80000001_ECX } from './cpuid-bits.js';

/*
 * One socket; every vCPU is a core with one thread; the APIC id is the vCPU's number. What the host's own topology left
 * in the supported CPUID would tell the guest otherwise.
 */

export interface Topology {
  cpuIndex: number;
  cpus: number;
}

/** Width of the APIC id field that tells `cpus` cores apart. */
function coreIdBits(cpus: number): number {
  return Math.ceil(Math.log2(cpus));
}

/** Cores, rounded up to what coreIdBits() can number: several fields are defined so. */
function addressableCores(cpus: number): number {
  return 2 ** coreIdBits(cpus);
}

/** Gives all topology leaves of `entries` the values for this vCPU; 0xB and 0x1F are made anew where the CPU has them. */
export function withTopology(entries: CpuidEntry[], topology: Topology, vendor: string): CpuidEntry[] {
  const kept = entries.filter(
    (entry) => entry.function !== LEAF.extendedTopology && entry.function !== LEAF.extendedTopologyV2,
  );
  for (const entry of kept) PATCHES[entry.function]?.(entry, topology, vendor);
  const highest = findLeaf(entries, LEAF.basic)?.eax ?? 0;
  for (const leaf of [LEAF.extendedTopology, LEAF.extendedTopologyV2]) {
    // AMD has no 0x1F, though KVM lists it.
    if (leaf === LEAF.extendedTopologyV2 && vendor !== INTEL) continue;
    if (highest >= leaf) kept.push(...extendedTopology(leaf, topology));
  }
  return kept;
}

const INTEL = 'GenuineIntel';

type Patch = (entry: CpuidEntry, topology: Topology, vendor: string) => void;

const PATCHES: Record<number, Patch> = {
  [LEAF.version]: patchVersion,
  [LEAF.cacheParameters]: patchCache,
  [LEAF.extendedVersion]: patchExtendedVersion,
  [LEAF.addressSizes]: patchCoreCount,
  [LEAF.amdCacheParameters]: patchCache,
  [LEAF.amdTopology]: patchAmdTopology,
};

/** EBX: APIC id 31:24, addressable logical processors 23:16 (they count only with HTT). */
function patchVersion(entry: CpuidEntry, { cpuIndex, cpus }: Topology): void {
  entry.ebx = ((cpuIndex << 24) | (addressableCores(cpus) << 16) | (entry.ebx & 0xffff)) >>> 0;
  entry.edx = withBit(entry.edx, LEAF_1_EDX.htt, cpus > 1);
}

/** EAX: cache type 4:0, level 7:5, logical processors sharing the cache less 1 25:14, on Intel also cores less 1 31:26. */
function patchCache(entry: CpuidEntry, { cpus }: Topology): void {
  const type = entry.eax & 0x1f;
  if (type === 0) return;
  const level = (entry.eax >>> 5) & 0x7;
  const sharing = level >= LEVEL_SHARED_BY_ALL ? addressableCores(cpus) : 1;
  const cores = entry.function === LEAF.cacheParameters ? addressableCores(cpus) : 1;
  entry.eax = ((entry.eax & 0x3fff) | ((sharing - 1) << 14) | ((cores - 1) << 26)) >>> 0;
}

const LEVEL_SHARED_BY_ALL = 3;

/** CmpLegacy: HTT means cores, not threads. AMD only, reserved at Intel. */
function patchExtendedVersion(entry: CpuidEntry, { cpus }: Topology, vendor: string): void {
  if (vendor !== INTEL) entry.ecx = withBit(entry.ecx, LEAF_80000001_ECX.cmpLegacy, cpus > 1);
}

/** ECX: cores less 1 7:0, ApicIdCoreIdSize 15:12. AMD only, reserved at Intel. */
function patchCoreCount(entry: CpuidEntry, { cpus }: Topology, vendor: string): void {
  entry.ecx = vendor === INTEL ? 0 : ((coreIdBits(cpus) << 12) | (cpus - 1)) >>> 0;
}

/** EAX: APIC id. EBX: core id 7:0, threads per core less 1 15:8. ECX: node id 7:0, nodes less 1 10:8. */
function patchAmdTopology(entry: CpuidEntry, { cpuIndex }: Topology): void {
  entry.eax = cpuIndex;
  entry.ebx = cpuIndex;
  entry.ecx = 0;
  entry.edx = 0;
}

// Level types of leaf 0xB, ECX 15:8.
const LEVEL_SMT = 1;
const LEVEL_CORE = 2;

/** EAX: bits to shift the APIC id for the next level. EBX: processors at this level. EDX: the x2APIC id. */
function extendedTopology(leaf: number, { cpuIndex, cpus }: Topology): CpuidEntry[] {
  const level = (index: number, eax: number, ebx: number, type: number): CpuidEntry => ({
    function: leaf,
    index,
    flags: SIGNIFICANT_INDEX,
    eax,
    ebx,
    ecx: (type << 8) | index,
    edx: cpuIndex,
  });
  return [level(0, 0, 1, LEVEL_SMT), level(1, coreIdBits(cpus), cpus, LEVEL_CORE), level(2, 0, 0, 0)];
}

function withBit(value: number, mask: number, on: boolean): number {
  return (on ? value | mask : value & ~mask) >>> 0;
}
