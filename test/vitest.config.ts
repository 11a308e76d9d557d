import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { SCALE } from './support/scale.js';

const root = new URL('..', import.meta.url).pathname;
/**
 * Files at one time: many wait for a timeout, and another has the core meanwhile. Vitest's own choice leaves a core idle.
 * An emulated host has none to spare.
 */
const maxWorkers = SCALE === 1 ? availableParallelism() + 1 : 1;

const alone = { pool: 'forks', fileParallelism: false } as const;
const ofVms = { pool: 'forks', testTimeout: 120_000 * SCALE, hookTimeout: 120_000 * SCALE } as const;

type Settings = Omit<NonNullable<TestProjectInlineConfiguration['test']>, 'name' | 'sequence'>;

/** The machine is machine.ts's. */
const machine = (kind: 'kvm' | 'threads') => ({ env: { POSTCOPY_TEST_MACHINE: kind } });

/** In the order in which they run, one after the other. Those of VMs run them through dist/, so build first. */
const PROJECTS: Record<string, Settings> = {
  /** Pure code. Some cut streams at every byte, which takes seconds on a busy host. */
  unit: { include: ['test/unit/**/*.test.ts'], testTimeout: 60_000, maxWorkers },
  /** The addon alone, what of it needs no KVM. */
  native: { include: ['test/native/*.test.ts'], ...alone },
  /** What is published. */
  package: { include: ['test/package/**/*.test.ts'] },
  /** VMs on the machine of threads. */
  threads: {
    include: ['test/vm/**/*.test.ts'],
    ...ofVms,
    maxWorkers,
    // These judge no times; with rehearsals they would take half as long again.
    env: { ...machine('threads').env, POSTCOPY_REHEARSALS: '0' },
  },
  /** The same with random faults; its one file has several runs at a time. */
  soak: {
    include: ['test/soak/*.test.ts'],
    ...ofVms,
    testTimeout: 1_500_000,
    env: { ...machine('threads').env, POSTCOPY_REHEARSALS: '0' },
  },
  /** The same under full load, and what they wait for: nothing runs beside them. */
  'threads-load': {
    include: ['test/load/**/*.test.ts', 'test/threads/**/*.test.ts'],
    ...ofVms,
    ...alone,
    ...machine('threads'),
  },
  /** The addon on /dev/kvm. */
  'native-kvm': { include: ['test/native/kvm/*.test.ts'], ...alone },
  /** VMs on /dev/kvm. */
  kvm: { include: ['test/vm/**/*.test.ts', 'test/kvm/**/*.test.ts'], ...ofVms, maxWorkers, ...machine('kvm') },
  'kvm-load': { include: ['test/load/**/*.test.ts'], ...ofVms, ...alone, ...machine('kvm') },
  /** What only a true KVM can show, where it is emulated and slow. */
  emulated: {
    include: ['test/native/kvm/*.test.ts', 'test/kvm/essential.test.ts'],
    ...ofVms,
    ...alone,
    ...machine('kvm'),
  },
  /** Virtual hosts with stock Linux, which take all cores. */
  lab: { include: ['test/lab/**/*.test.ts'], ...alone, testTimeout: 1_500_000, hookTimeout: 600_000 },
};

export default defineConfig({
  root,
  test: {
    projects: Object.entries(PROJECTS).map(([name, settings], index) => ({
      root,
      test: { ...settings, name, sequence: { groupOrder: index + 1 } },
    })),
  },
});
