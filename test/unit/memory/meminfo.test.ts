import { expect, it } from 'vitest';
import { availableBytes, meminfoBytes } from '../../../src/memory/meminfo.js';
import { MIB } from '../../../src/memory/page-size.js';

const MEMINFO = 'MemTotal:       2097152 kB\nMemFree:          1 kB\nMemAvailable:    1048576 kB\n';

it('reads lines of /proc/meminfo by their whole name', () => {
  expect(meminfoBytes(MEMINFO, 'MemTotal')).toBe(2048 * MIB);
  expect(meminfoBytes(MEMINFO, 'Mem')).toBeUndefined();
  expect(availableBytes(MEMINFO)).toBe(1024 * MIB);
  expect(availableBytes('nothing')).toBeUndefined();
});

it('reads that of this host', () => {
  expect(availableBytes()).toBeGreaterThan(0);
});
