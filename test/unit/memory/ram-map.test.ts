import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRamMap, encodeRamMap, pagesIn } from '../../../src/memory/ram-map.js';

const runs = (...numbers: number[]) => Uint32Array.from(numbers);
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });

describe('RAM map', () => {
  it.each([
    ['nothing', [], []],
    ['one page at 0', [0, 1], [0, 1]],
    ['127 and 128, one byte and two', [127, 128], [0x7f, 0x80, 0x01]],
    ['distances from the run before', [3, 2, 10, 1], [3, 2, 5, 1]],
    ['300 pages at 16384', [16384, 300], [0x80, 0x80, 0x01, 0xac, 0x02]],
    ['the last page of 16 TiB', [0xffff_fffe, 1], [0xfe, 0xff, 0xff, 0xff, 0x0f, 1]],
  ])('of %s', (_, extents, bytes) => {
    expect([...encodeRamMap(runs(...extents))]).toEqual(bytes);
    expect([...decodeRamMap(Uint8Array.from(bytes), 2 ** 32)]).toEqual(extents);
  });

  it('comes back as it was', () => {
    const gaps = fc.array(
      fc.tuple(
        fc.integer({ min: 1, max: 2 ** 24 }),
        fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2 ** 24 })),
      ),
      { maxLength: 100, size: 'max' },
    );
    fc.assert(
      fc.property(gaps, (pairs) => {
        const extents: number[] = [];
        let end = 0;
        for (const [gap, count] of pairs) {
          extents.push(end + gap, count);
          end += gap + count;
        }
        const map = encodeRamMap(runs(...extents));
        expect([...decodeRamMap(map, end)]).toEqual(extents);
        if (end > 0) expect(() => decodeRamMap(map, end - 1)).toThrow(badPeer);
        expect(pagesIn(runs(...extents))).toBe(pairs.reduce((sum, [, count]) => sum + count, 0));
      }),
    );
  });

  it('does not read what lies around a part of a buffer', () => {
    const buffer = Uint8Array.of(0x80, 1, 2, 0x80);
    expect([...decodeRamMap(buffer.subarray(1, 3), 10)]).toEqual([1, 2]);
  });

  it.each([
    ['a run without its length', [5]],
    ['a number cut short', [0, 0x80]],
    ['a number of six bytes', [0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1]],
    ['a number that never ends', new Array<number>(64).fill(0xff)],
    ['a run of no pages', [0, 0]],
    ['a run of no pages, later', [0, 1, 1, 0]],
    ['a run that begins beyond RAM', [100, 1]],
    ['a run that ends beyond RAM', [99, 2]],
    ['runs that together go beyond RAM', [0, 60, 0, 41]],
    ['a run so long that 32 bits would wrap', [1, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a number beyond 32 bits', [0xff, 0xff, 0xff, 0xff, 0x7f, 1]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeRamMap(Uint8Array.from(bytes), 100)).toThrow(badPeer);
  });

  it('has no way to say that runs overlap, or goes on forever', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60, size: 'max' }), (bytes) => {
        let extents: Uint32Array;
        try {
          extents = decodeRamMap(bytes, 5000);
        } catch (error) {
          expect(error).toEqual(badPeer);
          return;
        }
        let end = 0;
        for (let i = 0; i < extents.length; i += 2) {
          expect(extents[i]).toBeGreaterThanOrEqual(end);
          expect(extents[i + 1]).toBeGreaterThan(0);
          end = extents[i]! + extents[i + 1]!;
        }
        expect(end).toBeLessThanOrEqual(5000);
      }),
    );
  });
});
