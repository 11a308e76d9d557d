import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { SCALE } from './support/scale.js';

const root = new URL('..', import.meta.url).pathname;
const kvmTimeouts = { testTimeout: 120_000 * SCALE, hookTimeout: 120_000 * SCALE };
/**
 * Files at one time, unit's and KVM's: many wait for a timeout, and another has the core meanwhile. Vitest's own choice
 * leaves a core idle. An emulated host has none to spare.
 */
const maxWorkers = SCALE === 1 ? availableParallelism() + 1 : 1;

/**
 * unit: pure code. native: the addon alone. package: what is published. kvm: real guests on /dev/kvm (through dist/, so build first).
 * kvm-load: the same under full load, and what they wait for; nothing runs beside them. lab: virtual hosts with stock Linux,
 * which take all cores. The projects run one after the other.
 */
export default defineConfig({
  root,
  test: {
    projects: [
      // Some cut streams at every byte, which takes seconds on a busy host.
      {
        root,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 60_000,
          maxWorkers,
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        test: {
          name: 'native',
          include: ['test/native/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      { root, test: { name: 'package', include: ['test/package/**/*.test.ts'], sequence: { groupOrder: 3 } } },
      {
        root,
        test: {
          name: 'kvm',
          include: ['test/kvm/**/*.test.ts'],
          pool: 'forks',
          maxWorkers,
          ...kvmTimeouts,
          sequence: { groupOrder: 4 },
        },
      },
      {
        root,
        test: {
          name: 'kvm-load',
          include: ['test/kvm-load/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          ...kvmTimeouts,
          sequence: { groupOrder: 5 },
        },
      },
      {
        root,
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 1_500_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
});
