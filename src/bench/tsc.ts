/** The frequency of a guest's TSC on this host, so that guests of all VMMs measure with the same clock. */
import type { MachineName } from '../configure/machine-setting.js';
import { native } from '../native.js';
import { kvmTscKhz } from '../machine/kvm-machine.js';

/** kHz; 0 if KVM does not say, and the guest has to find out itself. A machine of threads has the host's. */
export function guestTscKhz(machine: MachineName): number {
  return machine === 'threads' ? native.hostTscKhz() : kvmTscKhz();
}
