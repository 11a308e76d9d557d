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

/**
 * unit: pure code. native: the addon alone, what of it needs no KVM. package: what is published. native-kvm: the addon on
 * /dev/kvm. kvm: real guests on it (through dist/, so build first). kvm-load: the same under full load, and what they wait
 * for; nothing runs beside them. lab: virtual hosts with stock Linux, which take all cores.
 */
const PROJECTS: Record<string, Settings> = {
  // Some cut streams at every byte, which takes seconds on a busy host.
  unit: { include: ['test/unit/**/*.test.ts'], testTimeout: 60_000, maxWorkers },
  native: { include: ['test/native/*.test.ts'], ...alone },
  package: { include: ['test/package/**/*.test.ts'] },
  'native-kvm': { include: ['test/native/kvm/*.test.ts'], ...alone },
  kvm: { include: ['test/kvm/**/*.test.ts'], ...ofVms, maxWorkers },
  'kvm-load': { include: ['test/kvm-load/**/*.test.ts'], ...ofVms, ...alone },
  lab: { include: ['test/lab/**/*.test.ts'], ...alone, testTimeout: 1_500_000, hookTimeout: 600_000 },
};

/** They run one after the other. */
export default defineConfig({
  root,
  test: {
    projects: Object.entries(PROJECTS).map(([name, settings], index) => ({
      root,
      test: { ...settings, name, sequence: { groupOrder: index + 1 } },
    })),
  },
});
