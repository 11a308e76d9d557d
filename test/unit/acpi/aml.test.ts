import { describe, expect, it } from 'vitest';
import * as aml from '../../../src/acpi/aml.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('AML encoder', () => {
  it.each([
    [0, '00'],
    [1, '01'],
    [2, '0a02'],
    [0xff, '0aff'],
    [0x100, '0b0001'],
    [0x10000, '0c00000100'],
    [0xffffffff, '0cffffffff'],
  ])('integer %d', (value, bytes) => expect(hex(aml.integer(value))).toBe(bytes));

  it.each([-1, 0.5, 2 ** 32])('refuses integer %d', (value) => expect(() => aml.integer(value)).toThrow(RangeError));

  it.each([
    [0, '01'],
    [62, '3f'], // the last of one byte: 63 with itself
    [63, '4104'], // 65 with its two bytes
  ])('package length of %d bytes', (bytes, encoded) => expect(hex(aml.packageLength(bytes))).toBe(encoded));

  it('takes two, three and four bytes for package lengths', () => {
    expect(hex(aml.packageLength(0xfff - 2))).toBe('4fff');
    expect(hex(aml.packageLength(0x1000 - 2))).toBe('810001');
    expect(hex(aml.packageLength(0xfffff - 3))).toBe('8fffff');
    expect(hex(aml.packageLength(0x100000 - 3))).toBe('c1000001');
    expect(() => aml.packageLength(0x10000000)).toThrow(RangeError);
  });

  it('EISA identifiers', () => {
    expect(hex(aml.eisaId('PNP0501'))).toBe('0c41d00501');
    expect(() => aml.eisaId('LNRO0005')).toThrow(RangeError);
  });

  it('names', () => {
    expect(hex(aml.name('_UID', aml.integer(1)))).toBe('085f55494401');
    expect(() => aml.nameString('COM')).toThrow(RangeError);
  });
});
