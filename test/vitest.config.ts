import { defineConfig } from 'vitest/config';

const root = new URL('..', import.meta.url).pathname;
/** Above 1 on emulated hosts: smaller guests, more time. */
const scale = Number(process.env['POSTCOPY_TEST_SCALE'] ?? 1);

/**
 * unit: pure code. native: the addon alone. package: what is published. kvm: real guests on /dev/kvm (through dist/, so build first).
 * lab: two virtual hosts with stock Linux. Guests and hosts share two cores, so kvm and lab run one file at a time.
 */
export default defineConfig({
  root,
  test: {
    projects: [
      // Some cut streams at every byte, which takes seconds on a busy host.
      { root, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { root, test: { name: 'native', include: ['test/native/**/*.test.ts'], pool: 'forks', fileParallelism: false } },
      { root, test: { name: 'package', include: ['test/package/**/*.test.ts'] } },
      {
        root,
        test: {
          name: 'kvm',
          include: ['test/kvm/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000 * scale,
          hookTimeout: 120_000 * scale,
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
        },
      },
    ],
  },
});
