/**
 * What of a host's CPUID a guest may be shown: an allow-list. A feature is on it when all the state that comes with it is known
 * to be saved and to be put back on another host (machine/vcpu-state.ts), or when it has none. What KVM learns next is not
 * on it, and so is not given to a guest before somebody has looked at its state.
 *
 * Left out for their state: nested virtualization, performance counters, branch records, processor trace, SGX, AMX, shadow
 * stacks (their pointer is in no MSR, so a vCPU stopped in user mode would go on without one), indirect branch tracking,
 * FRED, user interrupts. Left out because they mean nothing on another host: MONITOR/MWAIT (a waiting vCPU would keep its core)
 * and the invariant TSC, without which Linux keeps kvmclock, and that survives a move to a host with another TSC rate.
 */
import { LEAF, LEAF_1_ECX, LEAF_7_1_EDX } from './cpuid-bits.js';
import { findLeaf, type CpuidEntry, type CpuidRegister } from './cpuid-entries.js';
import { FEATURE_REGISTERS, keyOf, masksOf, type FeatureSet } from './cpuid-names.js';

/** KVM's own features: each is an MSR that moves, or a hypercall. */
export const KVM_FEATURES =
  'kvm_clocksource kvm_nop_io_delay kvm_clocksource2 kvm_async_pf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt ' +
  'kvm_pv_tlb_flush kvm_async_pf_vmexit kvm_pv_send_ipi kvm_poll_control kvm_pv_sched_yield kvm_async_pf_int ' +
  'kvm_clocksource_stable';

const MOVABLE: FeatureSet = {
  '1.0.ecx':
    'sse3 pclmulqdq ssse3 fma cx16 pcid sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave avx f16c rdrand ' +
    'hypervisor',
  '1.0.edx': 'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ss ht',
  '6.0.eax': 'arat',
  '7.0.ebx':
    'fsgsbase tsc_adjust bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm zero_fcs_fds mpx avx512f avx512dq rdseed ' +
    'adx smap avx512ifma clflushopt clwb avx512pf avx512er avx512cd sha_ni avx512bw avx512vl',
  '7.0.ecx':
    'prefetchwt1 avx512vbmi umip pku waitpkg avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq ' +
    'la57 rdpid bus_lock_detect cldemote movdiri movdir64b',
  '7.0.edx':
    'avx512_4vnniw avx512_4fmaps fsrm avx512_vp2intersect md_clear rtm_always_abort serialize tsxldtrk avx512_fp16 spec_ctrl ' +
    'stibp flush_l1d arch_capabilities ssbd',
  '7.1.eax': 'sha512 sm3 sm4 avx_vnni avx512_bf16 lass cmpccxadd fzrm fsrs fsrc wrmsrns avx_ifma lam movrs',
  '7.1.ecx': 'msr_imm',
  '7.1.edx': 'avx_vnni_int8 avx_ne_convert avx_vnni_int16 prefetchiti avx10',
  '7.2.edx': 'psfd ipred_ctrl rrsba_ctrl ddpd_u bhi_ctrl mcdt_no',
  'd.0.eax':
    'x87_state sse_state avx_state bndregs_state bndcsr_state opmask_state zmm_hi256_state hi16_zmm_state pkru_state',
  'd.1.eax': 'xsaveopt xsavec xgetbv1 xsaves',
  '40000001.0.eax': KVM_FEATURES,
  '80000001.0.ecx': 'lahf_lm cmp_legacy cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw xop fma4 tce tbm topoext',
  '80000001.0.edx':
    'fpu vme de pse tsc msr pae mce cx8 apic syscall mtrr pge mca cmov pat pse36 nx mmxext mmx fxsr fxsr_opt pdpe1gb rdtscp ' +
    'lm 3dnowext 3dnow',
  '80000008.0.ebx':
    'clzero xsaveerptr wbnoinvd ibpb ibrs amd_stibp ibrs_always_on stibp_always_on ibrs_same_mode efer_lmsle_mbz amd_ssbd ' +
    'virt_ssbd amd_ssb_no amd_psfd btc_no ibpb_ret',
  '80000021.0.eax':
    'no_nested_data_bp fsgs_non_serializing lfence_rdtsc verw_clear null_sel_clr_base autoibrs no_smm_ctl_msr fsrs fsrc ' +
    'prefetchi sbpb ibpb_brtype srso_no srso_user_kernel_no',
  '80000021.0.ecx': 'tsa_sq_no tsa_l1_no',
};

/** The bits of each register that a guest may have. */
export type Allowed = Readonly<Record<string, number>>;
export const MOVABLE_BITS: Allowed = masksOf(MOVABLE);

const ALL: readonly CpuidRegister[] = ['eax', 'ebx', 'ecx', 'edx'];

/** Registers that describe and are no features, by leaf and subleaf; of all subleaves where none is said. */
const DESCRIPTIONS: Readonly<Record<string, readonly CpuidRegister[]>> = {
  [at(LEAF.basic, 0)]: ALL,
  [at(LEAF.version, 0)]: ['eax', 'ebx'],
  [at(LEAF.cacheDescriptors, 0)]: ALL,
  [at(LEAF.cacheParameters)]: ALL,
  [at(LEAF.extendedFeatures, 0)]: ['eax'],
  [at(LEAF.xsave, 0)]: ['ebx', 'ecx'],
  [at(LEAF.xsave, 1)]: ['ebx'],
  [at(LEAF.avx10, 0)]: ['ebx'],
  [at(LEAF.hypervisor, 0)]: ALL,
  [at(LEAF.extended, 0)]: ALL,
  [at(LEAF.brand, 0)]: ALL,
  [at(LEAF.brand2, 0)]: ALL,
  [at(LEAF.brand3, 0)]: ALL,
  [at(LEAF.amdCacheL1, 0)]: ALL,
  [at(LEAF.cacheL2, 0)]: ALL,
  [at(LEAF.addressSizes, 0)]: ['eax', 'ecx'],
  [at(LEAF.amdTlb, 0)]: ALL,
  [at(LEAF.amdPerformance, 0)]: ['eax'],
  [at(LEAF.amdCacheParameters)]: ALL,
  [at(LEAF.amdTopology, 0)]: ALL,
};

function at(leaf: number, subleaf?: number): string {
  return `${leaf.toString(16)}.${subleaf === undefined ? 'all' : subleaf.toString(16)}`;
}

/** Subleaves of leaf 7 that are known: its EAX says the highest. */
const FEATURE_SUBLEAVES = 2;
const XSAVE_COMPONENTS_AT = 2;
/** ECX of a component: supervisor state, and aligned to 64 bytes where the area is compacted. */
const XSAVE_COMPONENT_ECX = 0b11;

/** Bytes of the legacy region and the header of an XSAVE area. */
const XSAVE_LEAST_BYTES = 576;

/** The entries of a host that pass, each register with the bits that pass. Theirs are left as they are. */
export function allowedCpuid(supported: readonly CpuidEntry[], allowed: Allowed = MOVABLE_BITS): CpuidEntry[] {
  const entries = supported.flatMap((entry) => passing(entry, allowed));
  const basic = findLeaf(entries, LEAF.basic);
  if (basic !== undefined) basic.eax = Math.min(basic.eax, highestBasic(allowed));
  const extended = findLeaf(entries, LEAF.extended);
  if (extended !== undefined) extended.eax = Math.min(extended.eax, LEAF.extendedFeatures2);
  const features = findLeaf(entries, LEAF.extendedFeatures);
  if (features !== undefined) features.eax = Math.min(features.eax, FEATURE_SUBLEAVES);
  const xsave = findLeaf(entries, LEAF.xsave);
  if (xsave !== undefined) xsave.ecx = xsaveBytes(entries);
  return entries;
}

function highestBasic(allowed: Allowed): number {
  return hasAvx10(allowed) ? LEAF.avx10 : LEAF.extendedTopologyV2;
}

function hasAvx10(allowed: Allowed): boolean {
  return ((allowed['7.1.edx'] ?? 0) & LEAF_7_1_EDX.avx10) !== 0;
}

/** Nothing of a leaf of which nothing passes: it reads as zeros. */
function passing(entry: CpuidEntry, allowed: Allowed): CpuidEntry[] {
  const { function: leaf, index, flags } = entry;
  if (leaf === LEAF.xsave && ((allowed['1.0.ecx'] ?? 0) & LEAF_1_ECX.xsave) === 0) return [];
  if (leaf === LEAF.xsave && index >= XSAVE_COMPONENTS_AT) return component(entry, allowed);
  if (leaf === LEAF.avx10 && !hasAvx10(allowed)) return [];
  const descriptions = DESCRIPTIONS[at(leaf, index)] ?? DESCRIPTIONS[at(leaf)] ?? [];
  const maskOf = (register: CpuidRegister): number =>
    descriptions.includes(register) ? -1 : (allowed[keyOf(entry, register)] ?? 0);
  const masks = ALL.map(maskOf);
  if (masks.every((mask) => mask === 0) && !isFeatureLeaf(leaf, index)) return [];
  const [eax, ebx, ecx, edx] = ALL.map((register, i) => (entry[register] & masks[i]!) >>> 0);
  return [{ function: leaf, index, flags, eax: eax!, ebx: ebx!, ecx: ecx!, edx: edx! }];
}

/** KVM takes a highest subleaf at its word: those below it are there, if with nothing in them. */
function isFeatureLeaf(leaf: number, subleaf: number): boolean {
  return FEATURE_REGISTERS.some((register) => register.leaf === leaf && register.subleaf === subleaf);
}

/** Size and place of a component of the XSAVE area. */
function component(entry: CpuidEntry, allowed: Allowed): CpuidEntry[] {
  if ((((allowed['d.0.eax'] ?? 0) >>> entry.index) & 1) === 0) return [];
  return [{ ...entry, ecx: entry.ecx & XSAVE_COMPONENT_ECX, edx: 0 }];
}

/** Bytes of an XSAVE area, not compacted, with all the components of these entries. */
function xsaveBytes(entries: readonly CpuidEntry[]): number {
  return entries
    .filter(({ function: leaf, index }) => leaf === LEAF.xsave && index >= XSAVE_COMPONENTS_AT)
    .reduce((bytes, { eax, ebx }) => Math.max(bytes, eax + ebx), XSAVE_LEAST_BYTES);
}
