import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTrace, encodeHead, encodeTrace, type Trace } from '../../../../src/migrate/prefetch/trace.js';

const SMALL: Trace = {
  kind: 'touches',
  pages: 1000,
  vcpus: 2,
  extents: Uint32Array.of(0, 10, 20, 900),
  times: Float64Array.of(3, 3, 203),
  vcpuOf: Uint16Array.of(0, 1, 0),
  pageOf: Uint32Array.of(5, 4, 204),
};
const word = (value: number) => [value & 0xff, (value >> 8) & 0xff, 0, 0];
const BYTES = Buffer.from([
  ...Buffer.from('PCTRACE1'),
  ...[1, 1000, 2, 2, 0, 0, 0, 10, 20, 900].flatMap(word),
  // 3 us, vCPU 0, 5 pages on; 0 us, vCPU 1, 1 page back; 200 us, vCPU 0, 200 pages on
  ...[3, 0, 10, 0, 1, 1, 0xc8, 0x01, 0, 0x90, 0x03],
]);

const badTrace = (why: RegExp) => expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringMatching(why) });

describe('a trace', () => {
  it('is written byte by byte as it is described', () => {
    expect(encodeTrace(SMALL)).toEqual(BYTES);
    expect(decodeTrace(BYTES)).toEqual(SMALL);
  });

  it('comes back as it was', () => {
    const pages = 2 ** 32 - 1;
    const record = fc.tuple(fc.nat(2 ** 30), fc.nat(4095), fc.integer({ min: 0, max: pages - 1 }));
    fc.assert(
      fc.property(fc.array(record), (records) => {
        let time = 0;
        const times = records.map(([step]) => (time += step));
        const trace: Trace = {
          ...{ kind: 'requests', pages, vcpus: 4096, extents: Uint32Array.of(7, 1) },
          times: Float64Array.from(times),
          vcpuOf: Uint16Array.from(records, ([, vcpu]) => vcpu),
          pageOf: Uint32Array.from(records, ([, , page]) => page),
        };
        expect(decodeTrace(encodeTrace(trace))).toEqual(trace);
      }),
    );
  });

  it('is read as far as it goes, wherever its records are cut', () => {
    for (let end = BYTES.length - 11; end < BYTES.length; end++) {
      const { times } = decodeTrace(BYTES.subarray(0, end));
      expect(times).toEqual(SMALL.times.subarray(0, times.length));
      expect(times).toHaveLength(end < BYTES.length - 8 ? 0 : end < BYTES.length - 5 ? 1 : 2);
    }
  });

  it('is read wherever it lies in a buffer', () => {
    expect(decodeTrace(Buffer.concat([Buffer.of(1), BYTES]).subarray(1))).toEqual(SMALL);
  });

  it('is refused, or read, whatever it holds', () => {
    fc.assert(
      fc.property(fc.nat(BYTES.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(BYTES);
        bytes[at] = value;
        try {
          const { pageOf, vcpuOf, pages, vcpus } = decodeTrace(bytes);
          expect(pageOf.every((page) => page < pages) && vcpuOf.every((vcpu) => vcpu < vcpus)).toBe(true);
        } catch (error) {
          expect(error).toEqual(badTrace(/^the trace cannot be read: /));
        }
      }),
    );
  });

  it.each<[string, RegExp, Uint8Array]>([
    ['of nothing', /does not begin/, Buffer.alloc(0)],
    ['of another version', /does not begin/, Buffer.from('PCTRACE2'.padEnd(64))],
    ['cut in its head', /does not begin/, BYTES.subarray(0, 20)],
    ['cut in its extents', /ends within/, BYTES.subarray(0, 40)],
    ['of no pages', /has 0 pages/, encodeHead({ ...SMALL, pages: 0 })],
    ['of no vCPU', /has 0 vCPUs/, encodeHead({ ...SMALL, vcpus: 0 })],
    ['of too many vCPUs', /5000 vCPUs/, encodeHead({ ...SMALL, vcpus: 5000 })],
    ['whose extents overlap', /cannot hold data/, encodeHead({ ...SMALL, extents: Uint32Array.of(0, 10, 9, 2) })],
    ['whose data lies beyond the VM', /cannot hold data/, encodeHead({ ...SMALL, extents: Uint32Array.of(999, 2) })],
    ['with a page before the first', /of page -1/, Buffer.concat([encodeHead(SMALL), Buffer.of(0, 0, 1)])],
    ['with a page beyond the last', /of page 1000/, Buffer.concat([encodeHead(SMALL), Buffer.of(0, 0, 0xd0, 0x0f)])],
    ['with a vCPU too many', /of vCPU 2/, Buffer.concat([encodeHead(SMALL), Buffer.of(0, 2, 0)])],
    [
      'with a number without end',
      /too long/,
      Buffer.concat([encodeHead(SMALL), Buffer.alloc(8, 0x80), Buffer.of(0, 0, 0)]),
    ],
  ])('%s is refused', (_, why, bytes) => {
    expect(() => decodeTrace(bytes)).toThrow(badTrace(why));
  });
});
