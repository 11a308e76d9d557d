/**
 * What the MSRs that tell features have told a guest, against what this host's would tell it. Most of ARCH_CAPABILITIES says
 * of a flaw that this CPU has it not: a guest that heard so has switched its mitigation off for the rest of its life. KVM lets
 * any value be set, so that it must be compared here.
 */
import { decodeMsrs } from '../../../machine/msrs.js';

const ARCH_CAPABILITIES = 0x10a;

/** Intel SDM vol. 4, table 2-2, 10AH, and Linux' msr-index.h. */
const BITS: Readonly<Record<number, string>> = {
  0: 'RDCL_NO',
  1: 'IBRS_ALL',
  2: 'RSBA',
  3: 'SKIP_L1DFL_VMENTRY',
  4: 'SSB_NO',
  5: 'MDS_NO',
  6: 'PSCHANGE_MC_NO',
  7: 'TSX_CTRL',
  8: 'TAA_NO',
  13: 'SBDR_SSDP_NO',
  14: 'FBSDP_NO',
  15: 'PSDP_NO',
  17: 'FB_CLEAR',
  19: 'RRSBA',
  20: 'BHI_NO',
  24: 'PBRSB_NO',
  26: 'GDS_NO',
  27: 'RFDS_NO',
  28: 'RFDS_CLEAR',
  62: 'ITS_NO',
};
/** These say that a CPU has a weakness: a guest that was not told must not come to one that has it. */
const WEAKNESSES = (1n << 2n) | (1n << 19n);
const VALUE_BITS = 64;

/** `told`: the guest's; `host`: what KVM_GET_MSR_FEATURE_INDEX_LIST names, with this host's values; both packed. */
export function featureMsrObjections(told: Uint8Array, host: Uint8Array): string[] {
  const guest = capabilitiesIn(told);
  if (guest === undefined) return []; // the guest is not shown this MSR, or its host does not say
  const here = capabilitiesIn(host) ?? 0n;
  const lacks = namesOf(guest & ~here & ~WEAKNESSES);
  const has = namesOf(here & ~guest & WEAKNESSES);
  const what = [
    ...(lacks.length === 0 ? [] : [`lacks ${lacks.join(', ')}, which the guest was told that its CPU has`]),
    ...(has.length === 0 ? [] : [`has ${has.join(', ')}, of which the guest was not told`]),
  ];
  if (what.length === 0) return [];
  const advice =
    'give both hosts the same microcode and kernel, or boot it with the CPU of a level, which hides this MSR';
  return [`by its IA32_ARCH_CAPABILITIES (MSR 0x10a) this host's CPU ${what.join(', and ')}: ${advice}`];
}

function capabilitiesIn(msrs: Uint8Array): bigint | undefined {
  return decodeMsrs(msrs).find(({ index }) => index === ARCH_CAPABILITIES)?.value;
}

function namesOf(value: bigint): string[] {
  return Array.from({ length: VALUE_BITS }, (_, bit) => bit)
    .filter((bit) => ((value >> BigInt(bit)) & 1n) === 1n)
    .map((bit) => BITS[bit] ?? `bit ${bit}`);
}
