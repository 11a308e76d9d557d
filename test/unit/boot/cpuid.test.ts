import { describe, expect, it } from 'vitest';
import { guestCpuid } from '../../../src/boot/cpuid.js';
import { AMD, INTEL, KVM, KVM_FEATURES, leaf, pack, unpack, type Row } from './cpuid-tables.js';

const OPTIONS = {
  ...{ cpu: 'host' as const, cpuIndex: 2, cpus: 3, ramEnd: 2 ** 30, tscKhz: 2_500_000 },
  tscDeadlineTimer: true,
};

describe('guestCpuid', () => {
  it('gives leaf 1 the APIC id, and of all bits those that can move', () => {
    const bytes = guestCpuid(pack([AMD, [1, 0, 0xb00f21, 0x05400800, 0xffffffff, 0xffffffff]]), OPTIONS);
    // No DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA, OSXSAVE; no PSN, DS, ACPI, TM, PBE.
    expect(leaf(bytes, 1)).toEqual([0xb00f21, 0x02040800, 0xf7fa3203, 0x1f8bfbff]);
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

  it('keeps the KVM leaves and adds the timing leaf', () => {
    const bytes = guestCpuid(pack([AMD, KVM, KVM_FEATURES]), OPTIONS);
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
