/** The kind of machine that a suite's VMs are: its vitest project says which. */
import type { MachineName } from '../../src/configure/machine-setting.js';

export const MACHINE = (process.env['POSTCOPY_TEST_MACHINE'] ?? 'kvm') as MachineName;

const HAS_MACHINES = ['run', 'receive', 'demo', 'bench'];

/** The words of a command line, with the machine where the command makes one; `kvm` is what it makes unasked. */
export function onMachine([command = '', ...rest]: string[]): string[] {
  const machine = MACHINE !== 'kvm' && HAS_MACHINES.includes(command) ? ['--machine', MACHINE] : [];
  return [command, ...machine, ...rest];
}
