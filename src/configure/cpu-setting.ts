/**
 * Which CPU a guest of KVM is shown: all of the host's that can be moved, or a level of the x86-64 psABI, which hosts of
 * different age have in common (boot/cpu-levels.ts says what is in each).
 */
import type { MachineName } from './machine-setting.js';

export const CPUS = ['host', 'x86-64-v2', 'x86-64-v3', 'x86-64-v4'] as const;
export type CpuName = (typeof CPUS)[number];
export type CpuLevel = Exclude<CpuName, 'host'>;

export const DEFAULT_CPU: CpuName = 'host';

/** What is wrong with this CPU on this kind of machine; undefined if nothing is. */
export function cpuProblem(machine: MachineName, cpu: CpuName): string | undefined {
  return machine === 'kvm' || cpu === 'host' ? undefined : `a machine of ${machine} has the host's CPU: leave it out`;
}
