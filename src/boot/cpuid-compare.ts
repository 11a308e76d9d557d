import { LEAF, LEAF_1_ECX, LEAF_1_EDX, LEAF_7_ECX, LEAF_80000001_ECX } from './cpuid-bits.js';
import { cpuVendor, decodeCpuid, findLeaf, type CpuidEntry, type CpuidRegister } from './cpuid-entries.js';
import { FEATURE_NAMES } from './cpuid-names.js';

/** A register made of feature bits. */
interface FeatureRegister {
  leaf: number;
  subleaf: number;
  register: CpuidRegister;
}

const FEATURE_REGISTERS: FeatureRegister[] = Object.keys(FEATURE_NAMES).map((key) => {
  const [leaf, subleaf, register] = key.split('.');
  return { leaf: parseInt(leaf ?? '', 16), subleaf: parseInt(subleaf ?? '', 16), register: register as CpuidRegister };
});

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

const REGISTER_BITS = 32;

/**
 * What a guest's CPUID (of one of its vCPUs) promises and this host cannot keep, as `leaf.register.bit (name)`; empty if
 * the guest can run here. `hostSupported` is what KVM_GET_SUPPORTED_CPUID gave. Throws RangeError for a list that is none.
 */
export function missingFeatures(guest: Uint8Array, hostSupported: Uint8Array): string[] {
  const wanted = decodeCpuid(guest);
  const offered = decodeCpuid(hostSupported);
  return [
    ...missingVendor(wanted, offered),
    ...FEATURE_REGISTERS.flatMap((register) => missingBits(register, wanted, offered)),
    ...missingAddressBits(wanted, offered),
  ];
}

function missingVendor(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const [guest, host] = [cpuVendor(wanted), cpuVendor(offered)];
  return guest === host ? [] : [`0.vendor (the guest has ${printable(guest)}, this host ${printable(host)})`];
}

/** The guest's vendor comes from a peer, and ends up on terminals. */
function printable(text: string): string {
  return JSON.stringify(text.replace(/[^ -~]/g, '?'));
}

function missingBits(feature: FeatureRegister, wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const key = `${feature.leaf.toString(16)}.${feature.subleaf.toString(16)}.${feature.register}`;
  const valueIn = (entries: CpuidEntry[]): number =>
    findLeaf(entries, feature.leaf, feature.subleaf)?.[feature.register] ?? 0;
  const missing = valueIn(wanted) & ~valueIn(offered) & ~(SET_BY_US[key] ?? 0);
  const found: string[] = [];
  for (let number = 0; number < REGISTER_BITS; number++) {
    if (((missing >>> number) & 1) === 1) found.push(describeBit(feature, number, FEATURE_NAMES[key]?.[number]));
  }
  return found;
}

function describeBit(feature: FeatureRegister, number: number, name: string | undefined): string {
  const subleaf = feature.subleaf === 0 ? '' : `.${feature.subleaf.toString(16)}`;
  const place = `0x${feature.leaf.toString(16)}${subleaf}.${feature.register}.${number}`;
  return name === undefined || name === '' ? place : `${place} (${name})`;
}

/** A guest's page tables may use every physical address bit it was told of. */
function missingAddressBits(wanted: CpuidEntry[], offered: CpuidEntry[]): string[] {
  const bitsIn = (entries: CpuidEntry[]): number => (findLeaf(entries, LEAF.addressSizes)?.eax ?? 0) & 0xff;
  const [guest, host] = [bitsIn(wanted), bitsIn(offered)];
  return guest <= host ? [] : [`0x80000008.eax (the guest has ${guest} physical address bits, this host ${host})`];
}
