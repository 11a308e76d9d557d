import { describe, expect, it } from 'vitest';
import { flatMemoryMap, guestAddressOf, memoryMap, ramOffsetOf, ramRegions } from '../../../src/memory/layout.js';

const MIB = 0x100000;
const GIB = 0x40000000;

describe('ramRegions', () => {
  it('is one region up to 3 GiB', () => {
    expect(ramRegions(64 * MIB)).toEqual([{ guestAddress: 0, ramOffset: 0, bytes: 64 * MIB }]);
    expect(ramRegions(3 * GIB)).toEqual([{ guestAddress: 0, ramOffset: 0, bytes: 3 * GIB }]);
  });

  it('continues at 4 GiB', () => {
    expect(ramRegions(3 * GIB + 4096)).toEqual([
      { guestAddress: 0, ramOffset: 0, bytes: 0xc0000000 },
      { guestAddress: 0x100000000, ramOffset: 0xc0000000, bytes: 4096 },
    ]);
  });
});

it('guestAddressOf is the way back of ramOffsetOf', () => {
  for (const offset of [0, 3 * GIB - 1, 3 * GIB, 8 * GIB - 1]) {
    expect(ramOffsetOf(8 * GIB, guestAddressOf(8 * GIB, offset), 1)).toBe(offset);
  }
});

describe('ramOffsetOf', () => {
  it('maps both regions', () => {
    expect(ramOffsetOf(8 * GIB, 0, 1)).toBe(0);
    expect(ramOffsetOf(8 * GIB, 0xbfffffff, 1)).toBe(0xbfffffff);
    expect(ramOffsetOf(8 * GIB, 0x100000000, 5 * GIB)).toBe(0xc0000000);
  });

  it.each([
    ['in the hole', 0xfee00000, 4],
    ['across the start of the hole', 0xbfffffff, 2],
    ['beyond the end', 0x240000000, 1],
    ['across the end', 0x23fffffff, 2],
    ['negative', -1, 1],
    ['of negative length', 0, -1],
    ['of a fractional address', 0.5, 1],
    ['not a number', NaN, 1],
    ['of infinite length', 0, Infinity],
  ])('refuses a range %s', (_, address, length) => {
    expect(() => ramOffsetOf(8 * GIB, address, length)).toThrow(RangeError);
  });
});

describe('memoryMap', () => {
  it('of a small guest', () => {
    expect(memoryMap(64 * MIB).map((e) => [e.guestAddress, e.bytes, e.type])).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0x40400, 2],
      [0xe0000, 0x20000, 3],
      [0x100000, 0x3f00000, 1],
      [0xfffbc000, 0x44000, 2],
    ]);
  });

  it('adds the RAM above 4 GiB', () => {
    expect(memoryMap(5 * GIB).at(-1)).toEqual({ guestAddress: 0x100000000, bytes: 0x80000000, type: 1 });
  });
});

describe('flatMemoryMap', () => {
  it.each([64 * MIB, 3 * GIB, 5 * GIB, 64 * GIB])(
    'of %d bytes has one stretch of RAM from 1 MiB to its end',
    (bytes) => {
      expect(flatMemoryMap(bytes)).toEqual([
        ...memoryMap(bytes).slice(0, 3),
        { guestAddress: 0x100000, bytes: bytes - 0x100000, type: 1 },
      ]);
    },
  );
});
