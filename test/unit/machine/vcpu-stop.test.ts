import { expect, it } from 'vitest';
import { describeStop } from '../../../src/machine/vcpu-stop.js';
import { FakeVcpu } from './fake-vcpu.js';

/** struct kvm_regs: rip is the 17th of its registers. */
function vcpuAt(rip: bigint): FakeVcpu {
  const vcpu = new FakeVcpu();
  const regs = new Uint8Array(144);
  new DataView(regs.buffer).setBigUint64(128, rip, true);
  vcpu.state.set('regs', regs);
  vcpu.state.set('sregs', new Uint8Array(312));
  return vcpu;
}

it.each([
  [0, 0, 'KVM does not know why it stopped (KVM_EXIT_UNKNOWN)'],
  [8, 0, 'triple fault (KVM_EXIT_SHUTDOWN): an exception could not be delivered, most often a broken IDT or stack'],
  [9, 0x80000021, "the CPU refused the guest's state (KVM_EXIT_FAIL_ENTRY, reason 0x80000021)"],
  [17, 1, 'KVM internal error, suberror 1: an instruction that KVM could not emulate (KVM_EXIT_INTERNAL_ERROR)'],
  [17, 3, 'KVM internal error, suberror 3 (KVM_EXIT_INTERNAL_ERROR)'],
  [24, 2, 'system event 2 (KVM_EXIT_SYSTEM_EVENT)'],
  [
    0xfffffffd,
    7,
    'page 7 of its RAM is lost to a memory error of this host, and the guest takes no machine check, by which it would be told',
  ],
  [
    0xfffffffc,
    7,
    'page 7 of its RAM is lost to a memory error of this host, on which KVM carries out an instruction, and the guest cannot be told of it there',
  ],
  [0xffffffff, 14, 'KVM_RUN failed with errno 14'],
  [42, 0, 'unexpected KVM exit 42'],
])('exit %d, detail %d', (reason, detail, text) => {
  const lines = describeStop({ vcpu: 1, reason, detail }, vcpuAt(0xffff_ffff_8100_0042n).asVcpu(), 'kvm').split('\n');
  expect(lines[0]).toBe(`the guest cannot go on: vCPU 1: ${text}`);
  expect(lines[1]).toContain('rip    ffffffff81000042');
});

it('an exception on a machine of threads, which has no system registers', () => {
  const vcpu = vcpuAt(0x4000_0010_0042n);
  vcpu.state.delete('sregs');
  const text = describeStop({ vcpu: 3, reason: 0xffff_fffe, detail: 13 }, vcpu.asVcpu(), 'threads');
  expect(text).toMatch(
    /^the guest cannot go on: vCPU 3: exception 13 \(Intel SDM vol\. 3, table 6-1\), which a machine of/,
  );
  expect(text).toContain('rip    0000400000100042');
  expect(text).not.toContain('cr0');
  expect(vcpu.log).toEqual(['get regs']);
});
