import { describe, expect, it } from 'vitest';
import { KvmShown } from '../../../src/machine/kvm-shown.js';
import { INTEL, pack, type Row } from '../boot/cpuid-tables.js';
import { FakeVcpu, msrEntries, msrsOf } from './fake-vcpu.js';

const [UCODE, PLATFORM_INFO, ARCH_CAPABILITIES, PERF_CAPABILITIES, EFER] = [0x8b, 0xce, 0x10a, 0x345, 0xc0000080];
const LISTED = [EFER, ARCH_CAPABILITIES, PERF_CAPABILITIES, 0x480, 0x570, 0x6a2, 0x1c4, 0xd90, 0x8b, 0xce, EFER, 0x309];
const WITH_ARCH_CAPABILITIES: Row[] = [INTEL, [7, 0, 0, 0, 0, 0x20000000]];

function vcpuWith(...msrs: [index: number, value: bigint][]): FakeVcpu {
  const vcpu = new FakeVcpu();
  for (const [index, value] of msrs) vcpu.msrs.set(index, value);
  return vcpu;
}

const everything = (): FakeVcpu => vcpuWith(...LISTED.map((index): [number, bigint] => [index, 5n]));
const shownOf = (rows: Row[], vcpu = everything()): KvmShown => new KvmShown(vcpu.asVcpu(), pack(rows), LISTED);

describe('KvmShown', () => {
  it('leaves out the MSRs of features that the guest is not shown', () => {
    const shown = shownOf([INTEL]);
    expect([...shown.msrs].map((index) => index.toString(16))).toEqual(['c0000080', '8b', 'ce']);
    expect([ARCH_CAPABILITIES, PERF_CAPABILITIES, 0x493, EFER].map((index) => shown.hides(index))).toEqual([
      ...[true, true, true, false],
    ]);
  });

  it('has those of features that it is shown', () => {
    const rows: Row[] = [INTEL, [7, 0, 0, 0x4000, 0x80, 0x20000000], [0xd, 1, 0x10, 0, 0, 0]];
    expect([...shownOf(rows).msrs].sort((a, b) => a - b).map((index) => index.toString(16))).toEqual([
      ...['8b', 'ce', '10a', '1c4', '6a2', 'd90', 'c0000080'],
    ]);
  });

  it('asks once for what KVM does not have, and not again', () => {
    expect([...shownOf(WITH_ARCH_CAPABILITIES, vcpuWith([ARCH_CAPABILITIES, 1n])).msrs]).toEqual([ARCH_CAPABILITIES]);
  });

  it('knows the components of the XSAVE area', () => {
    expect(shownOf([INTEL, [0xd, 0, 0xe7, 0, 0, 1]]).xfeatures).toBe(0x1_0000_00e7n);
    expect(shownOf([INTEL]).xfeatures).toBe(0n);
  });

  it('tells the values that do not change, and after a move those that came along', () => {
    const shown = shownOf(WITH_ARCH_CAPABILITIES, vcpuWith([EFER, 1n], [UCODE, 2n], [ARCH_CAPABILITIES, 3n]));
    expect(msrsOf(shown.constantMsrs)).toEqual([
      [ARCH_CAPABILITIES, 3n],
      [UCODE, 2n],
    ]);
    shown.cameWith(msrEntries([EFER, 7n], [PLATFORM_INFO, 8n], [ARCH_CAPABILITIES, 9n]));
    expect(msrsOf(shown.constantMsrs)).toEqual([
      [PLATFORM_INFO, 8n],
      [ARCH_CAPABILITIES, 9n],
    ]);
    expect(msrsOf(shownOf([INTEL]).constantMsrs).map(([index]) => index)).toEqual([UCODE, PLATFORM_INFO]);
  });

  it('tries such values on all vCPUs, and names each that KVM does not take', () => {
    const vcpus = [vcpuWith([UCODE, 1n], [PLATFORM_INFO, 0n]), vcpuWith()];
    vcpus[0]!.readOnly.add(UCODE).add(PLATFORM_INFO);
    const tried = msrEntries([UCODE, 2n], [PLATFORM_INFO, 0x80000000n], [ARCH_CAPABILITIES, 3n], [EFER, 4n]);
    const objections = shownOf(WITH_ARCH_CAPABILITIES).tryMsrs(
      vcpus.map((vcpu) => vcpu.asVcpu()),
      tried,
    );
    expect(objections).toEqual([
      expect.stringMatching(/does not take MSR 0x8b \(IA32_BIOS_SIGN_ID\) = 0x2, which the guest has/),
      expect.stringMatching(/does not take MSR 0xce \(MSR_PLATFORM_INFO\) = 0x80000000/),
    ]);
    expect(vcpus.map((vcpu) => vcpu.msrs.get(ARCH_CAPABILITIES))).toEqual([3n, 3n]);
    expect(vcpus.map((vcpu) => vcpu.msrs.get(EFER))).toEqual([undefined, undefined]); // not for a peer to set now
  });
});
