import { describe, expect, it } from 'vitest';
import { formatSize, parseSize } from '../../../src/basics/size.js';

describe('parseSize', () => {
  it.each([
    ['1K', 1024],
    ['64MiB', 64 * 1024 * 1024],
    ['512M', 536870912],
    ['512mb', 536870912],
    ['1G', 1073741824],
    ['1.5G', 1610612736],
    ['2 GiB', 2147483648],
    ['1T', 1099511627776],
    [' 1g ', 1073741824],
  ])('takes %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each([
    '',
    '1',
    '1024',
    'G',
    '-1G',
    '+1G',
    '1GG',
    '1P',
    '1e3M',
    '0x10M',
    '1,5G',
    '1.G',
    '.5G',
    '1.0000001K',
    '9999999999999T',
  ])('refuses %j', (text) => expect(parseSize(text)).toBeUndefined());
});

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [67108864, '64 MiB'],
    [1073741824, '1 GiB'],
    [2 * 1024 ** 4, '2 TiB'],
    [4096 * 1024 ** 4, '4096 TiB'],
  ])('%d', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});
