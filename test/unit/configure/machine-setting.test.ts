import { describe, expect, it } from 'vitest';
import { cpusProblem, DEFAULT_MACHINE, MACHINES } from '../../../src/configure/machine-setting.js';

it('a machine is one of KVM unless something else is asked for', () => {
  expect(MACHINES).toEqual(['kvm', 'threads']);
  expect(DEFAULT_MACHINE).toBe('kvm');
});

describe('cpusProblem', () => {
  it.each([
    ['kvm', 16],
    ['threads', 64],
  ] as const)('of %s is none from 1 to %d', (machine, most) => {
    for (let cpus = 1; cpus <= most; cpus++) expect(cpusProblem(machine, cpus)).toBe(undefined);
    for (const cpus of [0, -1, most + 1, 1.5, NaN, Infinity]) {
      expect(cpusProblem(machine, cpus), String(cpus)).toBe(`must be a number from 1 to ${most}`);
    }
  });
});
