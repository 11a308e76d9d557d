/**
 * What state is a guest's, by the CPUID that it is shown. Its MSRs are those that KVM has for it, less those of features
 * that are hidden from it: KVM gives and takes these all the same, with this host's own values, which another host may not
 * take. The list is made once, when the machine is built; with the guest stopped KVM is asked for nothing that it does not
 * have.
 */
import { LEAF } from '../boot/cpuid-bits.js';
import { cpuVendor, decodeCpuid, findLeaf } from '../boot/cpuid-entries.js';
import { hasFeature } from '../boot/cpuid-names.js';
import type { NativeVcpu } from '../native.js';
import { decodeMsrs, encodeMsrs, type Msr } from './msrs.js';
import { describeValue, refusedMsrs, type Shown } from './vcpu-state.js';

/** First and last MSR (Intel SDM vol. 4, AMD APM vol. 2 appendix A), and the features of which one must be shown. */
const OF_FEATURES: readonly (readonly [first: number, last: number, features: readonly string[]])[] = [
  [0x8c, 0x8f, ['sgx_lc']],
  [0xc1, 0xc8, ['pdcm']], // the counters of leaf 0xA, which is hidden with PDCM
  [0xcf, 0xcf, ['core_capabilities']],
  [0xe1, 0xe1, ['waitpkg']],
  [0x10a, 0x10a, ['arch_capabilities']],
  [0x186, 0x18d, ['pdcm']],
  [0x1c4, 0x1c5, ['xfd']],
  [0x1cc, 0x1d4, ['fred']],
  [0x309, 0x30c, ['pdcm']],
  [0x345, 0x345, ['pdcm']],
  [0x38d, 0x391, ['pdcm']],
  [0x3f1, 0x3f2, ['pdcm']],
  [0x480, 0x493, ['vmx']],
  [0x4c1, 0x4c8, ['pdcm']],
  [0x560, 0x561, ['intel_pt']],
  [0x570, 0x572, ['intel_pt']],
  [0x580, 0x587, ['intel_pt']],
  [0x600, 0x600, ['pdcm']],
  [0x6a0, 0x6a8, ['shstk', 'ibt']],
  [0xd90, 0xd90, ['mpx']],
  [0xda0, 0xda0, ['xsaves']],
  [0xc0000104, 0xc0000104, ['svm']],
  [0xc0000300, 0xc0000302, ['perfctr_core']],
  [0xc0010117, 0xc0010117, ['svm']],
  [0xc0010200, 0xc001020b, ['perfctr_core']],
];

/** Microcode revision, PLATFORM_INFO, ARCH_CAPABILITIES: what the host sets and no guest can change. */
const CONSTANT: readonly number[] = [0x8b, 0xce, 0x10a];

/** On their processors a machine check is the affected core's alone (AMD APM vol. 2, 9.3); on others all cores take it. */
const CHECKED_ALONE: readonly string[] = ['AuthenticAMD', 'HygonGenuine'];

/** What the guest of one machine is shown. */
export class KvmShown implements Shown {
  readonly #hidden: typeof OF_FEATURES;
  #constant: readonly Msr[];
  /** Those that make up the state of a vCPU. */
  readonly msrs: Uint32Array;
  readonly xfeatures: bigint;
  readonly broadcastsMachineChecks: boolean;

  /** `vcpu` is parked, and has the CPUID. `listed`: the MSRs that may be there. */
  constructor(vcpu: Pick<NativeVcpu, 'getMsrs'>, cpuid: Uint8Array, listed: readonly number[]) {
    const entries = decodeCpuid(cpuid);
    this.broadcastsMachineChecks = !CHECKED_ALONE.includes(cpuVendor(entries));
    const xsave = findLeaf(entries, LEAF.xsave);
    this.xfeatures = (BigInt(xsave?.edx ?? 0) << 32n) | BigInt(xsave?.eax ?? 0);
    this.#hidden = OF_FEATURES.filter(([, , features]) => !features.some((name) => hasFeature(entries, name)));
    const shown = [...new Set(listed)].filter((index) => !this.hides(index));
    const there = decodeMsrs(vcpu.getMsrs(Uint32Array.from(shown)));
    this.msrs = Uint32Array.from(there, ({ index }) => index);
    this.#constant = this.#constantOf(there);
  }

  /** Whether the guest has no such MSR, whatever KVM has. */
  hides(index: number): boolean {
    return this.#hidden.some(([first, last]) => index >= first && index <= last);
  }

  /** Those with a value that is the same for the guest's whole life, packed. */
  get constantMsrs(): Uint8Array {
    return encodeMsrs(this.#constant);
  }

  /** Gives all vCPUs those of a guest that comes from another host; what KVM does not take of them, in words. */
  tryMsrs(vcpus: readonly NativeVcpu[], msrs: Uint8Array): string[] {
    const tried = this.#constantOf(decodeMsrs(msrs));
    const refused = refusedMsrs(vcpus[0]!, tried);
    for (const vcpu of vcpus.slice(1)) refusedMsrs(vcpu, tried);
    return refused.map(
      (msr) => `this host's KVM does not take ${describeValue(msr)}, which the guest has for its whole life`,
    );
  }

  /** The guest has come with these, of a saved vCPU, packed. */
  cameWith(saved: Uint8Array): void {
    this.#constant = this.#constantOf(decodeMsrs(saved));
  }

  #constantOf(msrs: readonly Msr[]): Msr[] {
    return msrs.filter(({ index }) => CONSTANT.includes(index) && !this.hides(index));
  }
}
