import { expect, it } from 'vitest';
import { parseRate } from '../../../src/basics/rate.js';

it.each([
  ['100M', 100 * 1024 ** 2],
  ['64k', 64 * 1024],
  ['1.5G', 1.5 * 1024 ** 3],
  ['0.1G', 107_374_182],
  ['100MiB/s', 100 * 1024 ** 2],
  ['100MB', 100 * 1024 ** 2],
  [' 2 T ', 2 * 1024 ** 4],
  ['1Gbit', 125_000_000],
  ['1gbit/s', 125_000_000],
  ['2.5Gbit', 312_500_000],
  ['800Kbit', 100_000],
  ['1Tbit', 125e9],
])('%s are %d bytes per second', (text, bytes) => {
  expect(parseRate(text)).toBe(bytes);
});

it.each([
  '',
  '100',
  '100B',
  '1Gb',
  '1Gb/s',
  '1Gbps',
  '1Gibit',
  '1G/m',
  '-1M',
  '1e3M',
  'none',
  'M',
  '1 Mega',
  '1,5G',
  'Infinity',
])('%j is no rate, or not a clear one', (text) => {
  expect(parseRate(text)).toBeUndefined();
});
