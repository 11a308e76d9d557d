/** What a VM runs on: vCPUs of KVM, or threads of its own process that run postcopy's guest (machine/thread-machine.ts). */

export const MACHINES = ['kvm', 'threads'] as const;
export type MachineName = (typeof MACHINES)[number];

export const DEFAULT_MACHINE: MachineName = 'kvm';

/** vCPUs at most. */
export const CPUS_MAX: Record<MachineName, number> = { kvm: 16, threads: 64 };

/** What is wrong with so many vCPUs; undefined if nothing is. */
export function cpusProblem(machine: MachineName, cpus: number): string | undefined {
  const most = CPUS_MAX[machine];
  return Number.isInteger(cpus) && cpus >= 1 && cpus <= most ? undefined : `must be a number from 1 to ${most}`;
}
