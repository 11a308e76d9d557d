/** What it means when a vCPU cannot go on, in words, with its registers. */
import { describeRegisters } from '../boot/cpu-registers.js';
import type { MachineName } from '../configure/machine-setting.js';
import type { NativeVcpu } from '../native.js';
import type { VcpuStop } from './exit-dispatch.js';

/** The vCPU is about to touch that page of RAM, which is lost; native/kvm/vcpu_thread.h. */
export const STOPPED_AT_LOST_PAGE = 0xfffffffd;
/** The same in an instruction that KVM carries out itself. */
const STOPPED_WITHIN_LOST_PAGE = 0xfffffffc;

/** KVM_EXIT_* of <linux/kvm.h>, those that end a guest. */
const REASONS: Record<number, (stop: VcpuStop) => string> = {
  0: () => 'KVM does not know why it stopped (KVM_EXIT_UNKNOWN)',
  8: () => 'triple fault (KVM_EXIT_SHUTDOWN): an exception could not be delivered, most often a broken IDT or stack',
  9: (stop) => `the CPU refused the guest's state (KVM_EXIT_FAIL_ENTRY, reason 0x${stop.detail.toString(16)})`,
  17: (stop) => `KVM internal error, suberror ${stop.detail}${suberror(stop.detail)} (KVM_EXIT_INTERNAL_ERROR)`,
  24: (stop) => `system event ${stop.detail} (KVM_EXIT_SYSTEM_EVENT)`,
  [STOPPED_WITHIN_LOST_PAGE]: (stop) =>
    `${describeLostPage(stop.detail)}, on which KVM carries out an instruction, and the guest cannot be told of it there`,
  [STOPPED_AT_LOST_PAGE]: (stop) =>
    `${describeLostPage(stop.detail)}, and the guest takes no machine check, by which it would be told`,
  0xfffffffe: (stop) =>
    `exception ${stop.detail} (Intel SDM vol. 3, table 6-1), which a machine of threads gives to nobody`,
  0xffffffff: (stop) => `KVM_RUN failed with errno ${stop.detail}`,
};

/** Of a page of guest RAM that is lost to a memory error. */
export function describeLostPage(page: number): string {
  return `page ${page} of its RAM is lost to a memory error of this host`;
}

function suberror(code: number): string {
  return code === 1 ? ': an instruction that KVM could not emulate' : '';
}

export function describeStop(stop: VcpuStop, vcpu: NativeVcpu, machine: MachineName): string {
  const reason = REASONS[stop.reason]?.(stop) ?? `unexpected KVM exit ${stop.reason}`;
  const registers = describeRegisters(vcpu.getState('regs'), machine === 'kvm' ? vcpu.getState('sregs') : undefined);
  return `the guest cannot go on: vCPU ${stop.vcpu}: ${reason}\n${registers}`;
}
