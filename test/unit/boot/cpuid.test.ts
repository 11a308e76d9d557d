import { describe, expect, it } from 'vitest';
import { guestCpuid, missingFeatures } from '../../../src/boot/cpuid.js';

type Row = [leaf: number, index: number, eax: number, ebx: number, ecx: number, edx: number];
const WITH_INDEX = [4, 7, 0xb, 0xd, 0x1f, 0x8000001d];

function pack(rows: Row[]): Buffer {
  const bytes = Buffer.alloc(rows.length * 40);
  rows.forEach(([leaf, index, ...registers], row) => {
    const flags = WITH_INDEX.includes(leaf) ? 1 : 0;
    [leaf, index, flags, ...registers].forEach((value, field) =>
      bytes.writeUInt32LE(value >>> 0, row * 40 + field * 4),
    );
  });
  return bytes;
}

function unpack(bytes: Uint8Array): Row[] {
  const buffer = Buffer.from(bytes);
  return Array.from({ length: bytes.length / 40 }, (_, row) =>
    [0, 4, 12, 16, 20, 24].map((at) => buffer.readUInt32LE(row * 40 + at)),
  ) as Row[];
}

const leaf = (bytes: Uint8Array, number: number, index = 0): number[] | undefined =>
  unpack(bytes)
    .find((row) => row[0] === number && row[1] === index)
    ?.slice(2);

const AMD: Row = [0, 0, 0x1c, 0x68747541, 0x444d4163, 0x69746e65];
const INTEL: Row = [0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69];
const KVM: Row = [0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d];
const FEATURES: Row = [0x40000001, 0, 0x01007efb, 0, 0, 0];
const OPTIONS = { cpuIndex: 2, cpus: 3, tscKhz: 2_500_000, tscDeadlineTimer: true };

describe('guestCpuid', () => {
  it('gives leaf 1 the APIC id, and no VMX, MONITOR, PDCM, OSXSAVE', () => {
    const bytes = guestCpuid(pack([AMD, [1, 0, 0xb00f21, 0x05400800, 0x7fffffff, 0x078bfbff]]), OPTIONS);
    expect(leaf(bytes, 1)).toEqual([0xb00f21, 0x02040800, 0xf7ff7fd7, 0x178bfbff]);
  });

  it('has no HTT with one vCPU, and no TSC deadline where KVM has none', () => {
    const supported = pack([AMD, [1, 0, 0, 0x05400800, 0x01000000, 0x10000000]]);
    const bytes = guestCpuid(supported, { ...OPTIONS, cpus: 1, cpuIndex: 0, tscDeadlineTimer: false });
    expect(leaf(bytes, 1)).toEqual([0, 0x00010800, 0x80000000, 0]);
  });

  it('makes leaf 0xB anew: a thread, a core, the end', () => {
    const bytes = guestCpuid(pack([AMD, [0xb, 0, 1, 2, 0x100, 77], [0xb, 1, 7, 64, 0x201, 77]]), OPTIONS);
    expect(unpack(bytes).filter((row) => row[0] === 0xb)).toEqual([
      [0xb, 0, 0, 1, 0x100, 2],
      [0xb, 1, 2, 3, 0x201, 2],
      [0xb, 2, 0, 0, 0x002, 2],
    ]);
    expect(Buffer.from(bytes).readUInt32LE(40 + 8)).toBe(1); // KVM_CPUID_FLAG_SIGNIFCANT_INDEX
    expect(leaf(bytes, 0x1f)).toBeUndefined();
    expect(leaf(guestCpuid(pack([INTEL]), OPTIONS), 0x1f, 1)).toEqual([2, 3, 0x201, 2]);
    expect(leaf(guestCpuid(pack([[0, 0, 0xa, 0, 0, 0]]), OPTIONS), 0xb)).toBeUndefined();
  });

  it('tells who shares the caches on Intel', () => {
    const rows: Row[] = [
      [4, 0, 0xfc004121, 1, 2, 3],
      [4, 3, 0xfc07c163, 1, 2, 3],
      [4, 4, 0, 0, 0, 0],
    ];
    const bytes = guestCpuid(pack([INTEL, ...rows]), OPTIONS);
    expect(leaf(bytes, 4, 0)).toEqual([0x0c000121, 1, 2, 3]);
    expect(leaf(bytes, 4, 3)).toEqual([0x0c00c163, 1, 2, 3]);
    expect(leaf(bytes, 4, 4)).toEqual([0, 0, 0, 0]);
  });

  it('has the AMD topology', () => {
    const rows: Row[] = [
      [0x80000001, 0, 0, 0, 0x21800007 | 0x400000, 0],
      [0x80000007, 0, 0, 0, 0, 0x100],
      [0x80000008, 0, 0x3030, 0, 0x7001, 0],
      [0x8000001d, 3, 0x4163, 1, 2, 3],
      [0x8000001e, 0, 9, 9, 9, 9],
    ];
    const bytes = guestCpuid(pack([AMD, ...rows]), OPTIONS);
    expect(leaf(bytes, 0x80000001)?.[2]).toBe(0x400003); // topoext stays; no SVM, MONITORX, PERFCTR
    expect(leaf(bytes, 0x80000007)?.[3]).toBe(0); // no invariant TSC: kvmclock
    expect(leaf(bytes, 0x80000008)).toEqual([0x3030, 0, 0x2002, 0]);
    expect(leaf(bytes, 0x8000001d, 3)).toEqual([0xc163, 1, 2, 3]);
    expect(leaf(bytes, 0x8000001e)).toEqual([2, 2, 0, 0]);
  });

  it('leaves AMD fields alone on Intel', () => {
    const bytes = guestCpuid(pack([INTEL, [0x80000001, 0, 0, 0, 1, 0], [0x80000008, 0, 0x3027, 0, 0, 0]]), OPTIONS);
    expect(leaf(bytes, 0x80000001)?.[2]).toBe(1);
    expect(leaf(bytes, 0x80000008)).toEqual([0x3027, 0, 0, 0]);
  });

  it('clears what does not migrate', () => {
    const rows: Row[] = [5, 0xa, 0x12, 0x14, 0x8000000a, 0x8000001f, 0x80000022].map((n) => [n, 0, 1, 2, 3, 4]);
    const ones = 0xffffffff;
    const bytes = guestCpuid(
      pack([INTEL, ...rows, [7, 0, 2, ones, ones, ones], [7, 1, ones, ones, ones, ones]]),
      OPTIONS,
    );
    for (const row of rows) expect(leaf(bytes, row[0])).toEqual([0, 0, 0, 0]);
    expect(leaf(bytes, 7)).toEqual([2, 0xfdfffffb, 0xbfffffef, 0xbfffffff]);
    expect(leaf(bytes, 7, 1)).toEqual([ones, ones, ones, ones]);
  });

  it('keeps the KVM leaves and adds the timing leaf', () => {
    const bytes = guestCpuid(pack([AMD, KVM, FEATURES]), OPTIONS);
    expect(leaf(bytes, 0x40000000)).toEqual([0x40000010, 0x4b4d564b, 0x564b4d56, 0x4d]);
    expect(leaf(bytes, 0x40000001)).toEqual([0x01007efb, 0, 0, 0]);
    expect(leaf(bytes, 0x40000010)).toEqual([2_500_000, 1_000_000, 0, 0]);
    expect(leaf(guestCpuid(bytes, { ...OPTIONS, tscKhz: 0 }), 0x40000010)).toBeUndefined();
  });

  it('refuses what is no list of entries', () => {
    expect(() => guestCpuid(new Uint8Array(41), OPTIONS)).toThrow(RangeError);
    expect(() => guestCpuid(new Uint8Array(40 * 257), OPTIONS)).toThrow(RangeError);
  });
});

describe('missingFeatures', () => {
  const host: Row[] = [
    AMD,
    [1, 0, 0, 0, 0x21202000, 0x078bfbff],
    [7, 0, 1, 0x20, 0, 0],
    [0xd, 0, 7, 0, 0, 0],
    [0x80000001, 0, 0, 0, 0x400113, 0],
    [0x80000008, 0, 0x3030, 0, 0x7001, 0],
    KVM,
    FEATURES,
  ];

  it('is empty for a guest that this host made', () => {
    for (const cpus of [1, 2, 16]) {
      for (const tscDeadlineTimer of [true, false]) {
        const guest = guestCpuid(pack(host), { cpuIndex: cpus - 1, cpus, tscKhz: 1, tscDeadlineTimer });
        expect(missingFeatures(guest, pack(host))).toEqual([]);
      }
    }
  });

  it('names what is missing', () => {
    const guest: Row[] = [
      AMD,
      [1, 0, 0, 0, 0x31202000, 0],
      [7, 0, 1, 0x80010020, 0, 0],
      [7, 1, 0x10, 0, 0x400, 0],
      [0xd, 0, 0xe7, 0, 0, 0],
      [0x80000008, 0, 0x3034, 0, 0, 0],
      [0x40000001, 0, 0x01017efb, 0, 0, 0],
    ];
    expect(missingFeatures(pack(guest), pack(host))).toEqual([
      '0x1.ecx.28 (avx)',
      '0x7.ebx.16 (avx512f)',
      '0x7.ebx.31 (avx512vl)',
      '0x7.1.eax.4 (avx_vnni)',
      '0xd.eax.5 (opmask_state)',
      '0xd.eax.6 (zmm_hi256_state)',
      '0xd.eax.7 (hi16_zmm_state)',
      '0x40000001.eax.16 (kvm_hc_map_gpa_range)',
      '0x80000008.eax (the guest has 52 physical address bits, this host 48)',
    ]);
  });

  it('tells another vendor, and shows nothing unprintable of it', () => {
    expect(missingFeatures(pack([INTEL]), pack([AMD]))).toEqual([
      '0.vendor (the guest has "GenuineIntel", this host "AuthenticAMD")',
    ]);
    expect(missingFeatures(pack([[0, 0, 1, 0x1b5b1b5b, 0, 0]]), pack([AMD]))[0]).toContain('"[?[?????????"');
  });

  it('refuses what is no list of entries', () => {
    expect(() => missingFeatures(new Uint8Array(39), pack(host))).toThrow(RangeError);
  });
});
