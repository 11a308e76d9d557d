import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nestsAtMost } from '../../../../src/migrate/wire/nesting.js';

describe('nestsAtMost', () => {
  it.each([
    ['a number', [0x01], 0],
    ['an empty array', [0x90], 0],
    ['an array', [0x91, 0x01], 1],
    ['an array in an array', [0x91, 0x91, 0x01], 2],
    ['arrays side by side', [0x92, 0x91, 0x01, 0x91, 0x01], 2],
    ['a map of an array', [0x81, 0xa1, 0x61, 0x91, 0x01], 2],
    ['array 16 in map 32 in array 32', [0xdd, 0, 0, 0, 1, 0xdf, 0, 0, 0, 1, 0x01, 0xdc, 0, 1, 0xc0], 3],
    ['map 16', [0xde, 0, 1, 0xa0, 0xa0], 1],
    ['bytes that look like arrays', [0xc4, 3, 0x91, 0x91, 0x91], 0],
    ['text that looks like arrays', [0xd9, 3, 0x91, 0x91, 0x91], 0],
    ['an extension that looks like arrays', [0xd6, 0x91, 0x91, 0x91, 0x91, 0x91], 0],
    ['a float that looks like arrays', [0xcb, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91], 0],
  ])('%s', (_, bytes, depth) => {
    expect(nestsAtMost(Uint8Array.from(bytes), depth)).toBe(true);
    if (depth > 0) expect(nestsAtMost(Uint8Array.from(bytes), depth - 1)).toBe(false);
  });

  it('is not led astray by lengths beyond the end', () => {
    expect(nestsAtMost(Uint8Array.of(0xdd, 0xff), 1)).toBe(true);
    expect(nestsAtMost(Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff), 0)).toBe(true);
    expect(nestsAtMost(new Uint8Array(1000).fill(0xdd), 16)).toBe(false);
  });

  it('agrees with values of any shape', () => {
    const depthOf = (value: unknown): number => {
      if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return 0;
      const inner = Object.values(value);
      return inner.length === 0 ? 0 : 1 + Math.max(...inner.map(depthOf));
    };
    const values = fc.anything({
      maxDepth: 5,
      withTypedArray: false,
      key: fc.string(),
      values: [
        fc.string(),
        fc.integer(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array({ maxLength: 300 }),
      ],
    });
    fc.assert(
      fc.property(values, (value) => {
        const depth = depthOf(value);
        const bytes = encode(value);
        expect(nestsAtMost(bytes, depth)).toBe(true);
        if (depth > 0) expect(nestsAtMost(bytes, depth - 1)).toBe(false);
      }),
    );
  });
});
