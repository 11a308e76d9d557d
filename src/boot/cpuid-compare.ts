/** A guest's CPUID against what a host could give a guest: what was promised to it and cannot be kept there. */
import { LEAF, LEAF_1_ECX, LEAF_1_EDX, LEAF_7_ECX, LEAF_80000001_ECX } from './cpuid-bits.js';
import { allowedCpuid } from './cpuid-allowed.js';
import { highestLevel } from './cpu-levels.js';
import { cpuVendor, decodeCpuid, findLeaf, type CpuidEntry } from './cpuid-entries.js';
import { describeBits, FEATURE_NAMES, FEATURE_REGISTERS, keyOf, masksOf, type FeatureRegister } from './cpuid-names.js';

/**
 * Bits that a guest may have though the host's KVM does not list them as supported: KVM or postcopy sets them by itself.
 * The TSC-deadline timer has a capability of its own, and is in every in-kernel local APIC.
 */
const SET_BY_US: Readonly<Record<string, number>> = {
  '1.0.ecx': LEAF_1_ECX.hypervisor | LEAF_1_ECX.osxsave | LEAF_1_ECX.tscDeadline,
  '1.0.edx': LEAF_1_EDX.htt,
  '7.0.ecx': LEAF_7_ECX.ospke,
  '80000001.0.ecx': LEAF_80000001_ECX.cmpLegacy,
};

const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const;

const TILES = masksOf({ 'd.0.eax': 'xtilecfg_state xtiledata_state' });
const TILE_STATE = TILES['d.0.eax']!;
const USELESS_WITHOUT_TILES = masksOf({
  '7.0.edx': 'amx_bf16 amx_tile amx_int8',
  '7.1.eax': 'amx_fp16',
  '7.1.edx': 'amx_complex',
  'd.1.eax': 'xfd',
});

/**
 * What stands against a guest with this CPUID (of one of its vCPUs) on a host with this one (KVM_GET_SUPPORTED_CPUID): no
 * sentence, or one that names every feature and says what to do. Throws RangeError for a list that is none.
 */
export function cpuObjections(guest: Uint8Array, hostSupported: Uint8Array): string[] {
  const missing = missingFeatures(guest, hostSupported);
  if (missing.length === 0) return [];
  const wanted = decodeCpuid(guest);
  const offered = allowedCpuid(decodeCpuid(hostSupported));
  return [`this host's CPU lacks ${missing.join(', ')}: ${adviceFor(wanted, offered)}`];
}

function adviceFor(wanted: CpuidEntry[], offered: CpuidEntry[]): string {
  if (cpuVendor(wanted) !== cpuVendor(offered)) return 'a guest moves between CPUs of one vendor only';
  const level = highestLevel(offered);
  if (level === undefined) return 'move it to a host with a CPU like its own';
  return `boot it with the CPU ${level}, or a lower level, to have it move between hosts like these`;
}

/**
 * What a guest's CPUID (of one of its vCPUs) promises and this host cannot keep, as `leaf.register.bit (name)`; empty if
 * the guest can run here. `hostSupported` is what KVM_GET_SUPPORTED_CPUID gave. Throws RangeError for a list that is none.
 */
export function missingFeatures(guest: Uint8Array, hostSupported: Uint8Array): string[] {
  const wanted = withoutUseless(decodeCpuid(guest));
  const offered = allowedCpuid(decodeCpuid(hostSupported));
  return [
    ...missingVendor(wanted, offered),
    ...FEATURE_REGISTERS.flatMap((register) => missingBits(register, wanted, offered)),
    ...otherLayout(wanted, offered),
    ...missingAvx10(wanted, offered),
    ...missingAddressBits(wanted, offered),
  ];
}

/**
 * Of the features that a host's KVM supports, those that no guest gets (cpuid-allowed.ts), likewise; whole leaves as
 * `leaf 0xa`.
 */
export function withheldFeatures(hostSupported: Uint8Array): string[] {
  const supported = decodeCpuid(hostSupported);
  const offered = allowedCpuid(supported);
  const bits = FEATURE_REGISTERS.flatMap((register) => missingBits(register, supported, offered));
  return [...bits, ...withheldLeaves(supported, offered)];
}

function withheldLeaves(supported: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const withContent = supported.filter(({ eax, ebx, ecx, edx }) => (eax | ebx | ecx | edx) !== 0);
  const passed = new Set(offered.map(({ function: leaf }) => leaf));
  const leaves = new Set(withContent.map(({ function: leaf }) => leaf).filter((leaf) => !isKnown(leaf, passed)));
  return [...leaves].map((leaf) => `leaf 0x${leaf.toString(16)}`);
}

/** The topology leaves are made anew; of those with names, each bit was told. */
function isKnown(leaf: number, passed: ReadonlySet<number>): boolean {
  const anew: readonly number[] = [LEAF.extendedTopology, LEAF.extendedTopologyV2, LEAF.timing];
  return passed.has(leaf) || anew.includes(leaf) || FEATURE_REGISTERS.some((register) => register.leaf === leaf);
}

function missingVendor(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const [guest, host] = [cpuVendor(wanted), cpuVendor(offered)];
  return guest === host ? [] : [`0.vendor (the guest has ${printable(guest)}, this host ${printable(host)})`];
}

/** The guest's vendor comes from a peer, and ends up on terminals. */
function printable(text: string): string {
  return JSON.stringify(text.replace(/[^ -~]/g, '?'));
}

/**
 * A guest of a release that speaks no more than version 7 may have been told of AMX, and never got its tiles. It cannot be used
 * without them, so there is nothing to miss.
 */
function withoutUseless(wanted: CpuidEntry[]): CpuidEntry[] {
  if (((findLeaf(wanted, LEAF.xsave)?.eax ?? 0) & TILE_STATE) !== 0) return wanted;
  return wanted.map((entry) => {
    const masked = { ...entry };
    for (const register of REGISTERS) masked[register] &= ~(USELESS_WITHOUT_TILES[keyOf(entry, register)] ?? 0);
    return masked;
  });
}

function missingBits(feature: FeatureRegister, wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const valueIn = (entries: CpuidEntry[]): number =>
    findLeaf(entries, feature.leaf, feature.subleaf)?.[feature.register] ?? 0;
  return describeBits(feature, valueIn(wanted) & ~valueIn(offered) & ~(SET_BY_US[feature.key] ?? 0));
}

/** Size, place and kind of the components that the guest's XSAVE area can have: KVM gives and takes it as it lies. */
function otherLayout(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const components = findLeaf(wanted, LEAF.xsave)?.eax ?? 0;
  return wanted
    .filter(({ function: leaf, index }) => leaf === LEAF.xsave && index >= 2 && ((components >>> index) & 1) === 1)
    .flatMap((guest) => {
      const host = findLeaf(offered, LEAF.xsave, guest.index);
      if (host === undefined || (host.eax === guest.eax && host.ebx === guest.ebx)) return [];
      const name = FEATURE_NAMES['d.0.eax']?.[guest.index] ?? '';
      return [
        `0xd.${guest.index.toString(16)} (${name} is ${placeOf(guest)} of the XSAVE area; on this host ${placeOf(host)})`,
      ];
    });
}

function placeOf({ eax, ebx }: CpuidEntry): string {
  return `${eax} bytes at ${ebx}`;
}

/** EBX: version 7:0, vector lengths 18:16. */
function missingAvx10(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const ebxIn = (entries: CpuidEntry[]): number => findLeaf(entries, LEAF.avx10)?.ebx ?? 0;
  const [guest, host] = [ebxIn(wanted), ebxIn(offered)];
  const lengths = (ebx: number): number => (ebx >>> 16) & 0b111;
  if ((guest & 0xff) <= (host & 0xff) && (lengths(guest) & ~lengths(host)) === 0) return [];
  return [`0x24.ebx (the guest has AVX10 ${avx10(guest)}, this host ${avx10(host)})`];
}

function avx10(ebx: number): string {
  const lengths = [128, 256, 512].filter((_, bit) => ((ebx >>> (16 + bit)) & 1) === 1);
  return `version ${ebx & 0xff} of ${lengths.length === 0 ? 'no' : lengths.join('/')} bits`;
}

/** A guest's page tables may use every physical address bit it was told of. */
function missingAddressBits(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const bitsIn = (entries: CpuidEntry[]): number => (findLeaf(entries, LEAF.addressSizes)?.eax ?? 0) & 0xff;
  const [guest, host] = [bitsIn(wanted), bitsIn(offered)];
  return guest <= host ? [] : [`0x80000008.eax (the guest has ${guest} physical address bits, this host ${host})`];
}
