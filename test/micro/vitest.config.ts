import { defineConfig } from 'vitest/config';

const root = new URL('../..', import.meta.url).pathname;

/** Benchmarks run alone: one file at a time, each in a process of its own. */
export default defineConfig({
  root,
  test: {
    name: 'micro',
    pool: 'forks',
    fileParallelism: false,
    hookTimeout: 60_000,
    benchmark: { include: ['test/micro/**/*.bench.ts'], reporters: ['test/micro/reporter.ts'] },
  },
});
