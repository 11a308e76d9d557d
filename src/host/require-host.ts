/** What a VM needs of this host, asked before anything is built or waited for. */
import { PostcopyError } from '../errors.js';
import type { MachineName } from '../configure/machine-setting.js';
import { native } from '../native.js';

/** Throws HOST_LACKS. A machine of threads needs nothing that Linux on x86-64 may lack. */
export function requireMachine(machine: MachineName): void {
  if (machine === 'kvm') mustHave('/dev/kvm', () => native.kvmProbe());
}

/** Throws HOST_LACKS. Only a VM that comes from another host needs it. */
export function requireUserfaultfd(): void {
  mustHave('userfaultfd', () => native.userfaultfdProbe());
}

function mustHave(what: string, probe: () => unknown): void {
  try {
    probe();
  } catch (error) {
    throw new PostcopyError('HOST_LACKS', `this host has no ${what} that can be used`, error, [{ kind: 'host-unfit' }]);
  }
}
