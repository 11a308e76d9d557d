/**
 * Names of feature bits as /proc/cpuinfo has them, by `leaf.subleaf.register` and bit; '' where there is none. A register that
 * is not here is not made of features.
 */
import { findLeaf, type CpuidEntry, type CpuidRegister } from './cpuid-entries.js';

const names = (text: string): string[] => text.split(' ').map((name) => (name === '-' ? '' : name));

export const FEATURE_NAMES: Readonly<Record<string, string[]>> = {
  '1.0.ecx': names(
    'sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm ' +
      '- pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor',
  ),
  '1.0.edx': names(
    'fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov ' +
      'pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe',
  ),
  '6.0.eax': names('dtherm ida arat - pln - pts hwp'),
  '7.0.ebx': names(
    'fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm cqm zero_fcs_fds mpx rdt_a ' +
      'avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl',
  ),
  '7.0.ecx': names(
    'prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - ' +
      'la57 - - - - - rdpid key_locker bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc pks',
  ),
  '7.0.edx': names(
    '- - avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect srbds_ctrl md_clear rtm_always_abort - tsx_force_abort serialize hybrid ' +
      'tsxldtrk - pconfig arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 spec_ctrl stibp flush_l1d arch_capabilities core_capabilities ssbd',
  ),
  '7.1.eax': names(
    'sha512 sm3 sm4 rao_int avx_vnni avx512_bf16 lass cmpccxadd arch_perfmon_ext - fzrm fsrs fsrc - - - ' +
      '- fred lkgs wrmsrns nmi_src amx_fp16 hreset avx_ifma - - lam - - - - movrs',
  ),
  '7.1.ecx': names('- - - - - msr_imm'),
  '7.1.edx': names(
    '- - - - avx_vnni_int8 avx_ne_convert - - amx_complex - avx_vnni_int16 - - - prefetchiti - - - cet_sss avx10',
  ),
  '7.2.edx': names('psfd ipred_ctrl rrsba_ctrl ddpd_u bhi_ctrl mcdt_no'),
  'd.0.eax': names(
    'x87_state sse_state avx_state bndregs_state bndcsr_state opmask_state zmm_hi256_state hi16_zmm_state - pkru_state ' +
      '- - - - - - - xtilecfg_state xtiledata_state',
  ),
  'd.0.edx': [],
  'd.1.eax': names('xsaveopt xsavec xgetbv1 xsaves xfd'),
  'd.1.ecx': names(
    '- - - - - - - - pt_state - pasid_state cet_user_state cet_kernel_state hdc_state uintr_state lbr_state hwp_state',
  ),
  'd.1.edx': [],
  '40000001.0.eax': names(
    'kvm_clocksource kvm_nop_io_delay kvm_mmu_op kvm_clocksource2 kvm_async_pf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt ' +
      '- kvm_pv_tlb_flush kvm_async_pf_vmexit kvm_pv_send_ipi kvm_poll_control kvm_pv_sched_yield kvm_async_pf_int kvm_msi_ext_dest_id ' +
      'kvm_hc_map_gpa_range kvm_migration_control - - - - - - kvm_clocksource_stable',
  ),
  '80000001.0.ecx': names(
    'lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp ' +
      'fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx addr_mask_ext',
  ),
  '80000001.0.edx': names(
    'fpu vme de pse tsc msr pae mce cx8 apic - syscall mtrr pge mca cmov ' +
      'pat pse36 - mp nx - mmxext mmx fxsr fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow',
  ),
  '80000007.0.ebx': names('overflow_recov succor - smca'),
  '80000007.0.edx': names('- - - - - - - - constant_tsc'),
  '80000008.0.ebx': names(
    'clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - ibpb - ibrs amd_stibp ' +
      'ibrs_always_on stibp_always_on - ibrs_same_mode efer_lmsle_mbz - - amd_ppin amd_ssbd virt_ssbd amd_ssb_no cppc amd_psfd btc_no ibpb_ret',
  ),
  '80000021.0.eax': names(
    'no_nested_data_bp fsgs_non_serializing lfence_rdtsc - - verw_clear null_sel_clr_base - autoibrs no_smm_ctl_msr fsrs fsrc - prefetch_ctl_msr - - ' +
      '- - - - prefetchi - - - eraps - - sbpb ibpb_brtype srso_no srso_user_kernel_no srso_msr_fix',
  ),
  '80000021.0.ecx': names('- tsa_sq_no tsa_l1_no'),
};

/** Names of features by register, in one text each: what a guest may have, or what it must. */
export type FeatureSet = Readonly<Record<string, string>>;

/** A register made of feature bits. */
export interface FeatureRegister {
  key: string;
  leaf: number;
  subleaf: number;
  register: CpuidRegister;
}

export const FEATURE_REGISTERS: readonly FeatureRegister[] = Object.keys(FEATURE_NAMES).map((key) => {
  const [leaf, subleaf, register] = key.split('.');
  return {
    key,
    leaf: parseInt(leaf ?? '', 16),
    subleaf: parseInt(subleaf ?? '', 16),
    register: register as CpuidRegister,
  };
});

/** The key of FEATURE_NAMES for a register of an entry. */
export function keyOf({ function: leaf, index }: CpuidEntry, register: CpuidRegister): string {
  return `${leaf.toString(16)}.${index.toString(16)}.${register}`;
}

/** The bits of each register that the names stand for. Throws for a name that its register does not have. */
export function masksOf(set: FeatureSet): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(set).map(([key, text]) => [key, maskOf(key, text.split(' '))]));
}

function maskOf(key: string, features: string[]): number {
  let mask = 0;
  for (const feature of features) {
    const bit = FEATURE_NAMES[key]?.indexOf(feature) ?? -1;
    if (bit < 0) throw new Error(`no feature of ${key} is called ${feature}`);
    mask = (mask | (1 << bit)) >>> 0;
  }
  return mask;
}

const REGISTER_BITS = 32;

/** Bits of a register in words, as `0x7.ebx.16 (avx512f)`. */
export function describeBits({ key, leaf, subleaf, register }: FeatureRegister, bits: number): string[] {
  const place = `0x${leaf.toString(16)}${subleaf === 0 ? '' : `.${subleaf.toString(16)}`}.${register}`;
  return Array.from({ length: REGISTER_BITS }, (_, bit) => bit)
    .filter((bit) => ((bits >>> bit) & 1) === 1)
    .map((bit) => `${place}.${bit}${inBrackets(FEATURE_NAMES[key]?.[bit])}`);
}

function inBrackets(name: string | undefined): string {
  return name === undefined || name === '' ? '' : ` (${name})`;
}

/** Whether a guest with this CPUID is shown the feature. */
export function hasFeature(entries: readonly CpuidEntry[], name: string): boolean {
  return FEATURE_REGISTERS.some(({ key, leaf, subleaf, register }) => {
    const bit = FEATURE_NAMES[key]?.indexOf(name) ?? -1;
    return bit >= 0 && (((findLeaf(entries, leaf, subleaf)?.[register] ?? 0) >>> bit) & 1) === 1;
  });
}
