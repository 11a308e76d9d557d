/** The frequency of a guest's TSC on this host, so that guests of all VMMs measure with the same clock. */
import type { MachineName } from '../configure/machine-setting.js';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS } from '../memory/layout.js';
import { native } from '../native.js';

const CLOSE_MS = 1000;

/** kHz; 0 if KVM does not say, and the guest has to find out itself. A machine of threads has the host's. */
export function guestTscKhz(machine: MachineName): number {
  if (machine === 'threads') return native.hostTscKhz();
  const vm = new native.Vm();
  vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
  const vcpu = new native.Vcpu(vm, 0);
  const khz = vcpu.getTscKhz();
  vm.close();
  vcpu.close(CLOSE_MS);
  return khz;
}
