import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { MemoryMeter } from '../../../../src/migrate/report/memory-meter.js';

vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), readFileSync: vi.fn() }));

const noFile = (): never => {
  throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
};

it('measures what it can, and throws nothing when the kernel does not say', () => {
  vi.mocked(readFileSync).mockImplementation(noFile);
  const meter = new MemoryMeter(() => 0);
  meter.sample();
  expect([meter.peak, meter.overhead]).toEqual([0, 0]);
  vi.mocked(readFileSync).mockReturnValueOnce('RssAnon:\t100 kB\nRssShmem:\t0 kB\n');
  meter.sample();
  expect(meter.peak).toBe(0);
});
