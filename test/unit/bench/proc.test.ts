import { expect, test } from 'vitest';
import { parseStat } from '../../../src/bench/cpu-time.js';
import { parseResident } from '../../../src/bench/memory-meter.js';

test("CPU time is found behind a thread's name, whatever that is", () => {
  const rest = 'S 1 2 3 0 -1 4194560 100 0 0 0 12 34 0 0 20 0';
  expect(parseStat(`77 (CPU 0/KVM) ${rest}`)).toEqual({ name: 'CPU 0/KVM', cpuMs: 460 });
  expect(parseStat(`77 (a) b (c) ${rest}`)).toEqual({ name: 'a) b (c', cpuMs: 460 });
});

test('resident memory is anonymous and shared memory, not files', () => {
  const status = 'Name:\tx\nVmRSS:\t    900 kB\nRssAnon:\t     512 kB\nRssFile:\t     300 kB\nRssShmem:\t      88 kB\n';
  expect(parseResident(status)).toBe(600 * 1024);
});
