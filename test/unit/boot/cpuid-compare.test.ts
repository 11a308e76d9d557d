import { describe, expect, it } from 'vitest';
import { guestCpuid } from '../../../src/boot/cpuid.js';
import { cpuObjections, missingFeatures, withheldFeatures } from '../../../src/boot/cpuid-compare.js';
import { AMD, HOSTS, INTEL, KVM, KVM_FEATURES, pack, type Row } from './cpuid-tables.js';

const HOST: Row[] = [
  AMD,
  [1, 0, 0, 0, 0x21202000, 0x078bfbff],
  [7, 0, 1, 0x20, 0, 0],
  [0xd, 0, 7, 0, 0, 0],
  [0x80000001, 0, 0, 0, 0x400113, 0],
  [0x80000008, 0, 0x3030, 0, 0x7001, 0],
  KVM,
  KVM_FEATURES,
];

describe('missingFeatures', () => {
  it('is empty for a guest that this host made', () => {
    for (const cpus of [1, 2, 16]) {
      for (const tscDeadlineTimer of [true, false]) {
        const of = { cpu: 'host' as const, cpuIndex: cpus - 1, cpus, ramEnd: 2 ** 30, tscKhz: 1, tscDeadlineTimer };
        for (const host of [HOST, ...Object.values(HOSTS)]) {
          expect(missingFeatures(guestCpuid(pack(host), of), pack(host))).toEqual([]);
        }
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
    expect(missingFeatures(pack(guest), pack(HOST))).toEqual([
      '0x1.ecx.28 (avx)',
      '0x7.ebx.16 (avx512f)',
      '0x7.ebx.31 (avx512vl)',
      '0x7.1.eax.4 (avx_vnni)',
      '0x7.1.ecx.10',
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
    expect(() => missingFeatures(new Uint8Array(39), pack(HOST))).toThrow(RangeError);
  });

  it('misses what the host has and no guest gets: shadow stacks of an older release', () => {
    const cet = [INTEL, [7, 0, 0, 0, 0x80, 0x100000]] as Row[];
    expect(missingFeatures(pack(cet), pack(cet))).toEqual(['0x7.ecx.7 (shstk)', '0x7.edx.20 (ibt)']);
  });

  it('misses AMX only with its tiles', () => {
    const leaves = (xcr0: number): Row[] => [
      INTEL,
      [1, 0, 0, 0, 0x04000000, 0],
      [7, 0, 0, 0, 0, 0x03400000],
      [0xd, 0, xcr0, 0, 0, 0],
      [0xd, 1, 0x10, 0, 0, 0],
    ];
    expect(missingFeatures(pack(leaves(7)), pack(leaves(7)))).toEqual([]);
    expect(missingFeatures(pack(leaves(0x60007)), pack(leaves(0x60007)))).toEqual([
      ...['0x7.edx.22 (amx_bf16)', '0x7.edx.24 (amx_tile)', '0x7.edx.25 (amx_int8)'],
      ...['0xd.eax.17 (xtilecfg_state)', '0xd.eax.18 (xtiledata_state)', '0xd.1.eax.4 (xfd)'],
    ]);
  });

  it('compares where the components of the XSAVE area lie, of those that the guest has', () => {
    const withPkru = (at: number, xcr0 = 0x207): Row[] => [
      INTEL,
      [1, 0, 0, 0, 0x04000000, 0],
      [0xd, 0, xcr0, 0, 0, 0],
      [0xd, 2, 0x100, 0x240, 0, 0],
      [0xd, 9, 8, at, 0, 0],
    ];
    expect(missingFeatures(pack(withPkru(0xa80)), pack(withPkru(0xa80)))).toEqual([]);
    expect(missingFeatures(pack(withPkru(0xa80, 7)), pack(withPkru(0x980)))).toEqual([]);
    expect(missingFeatures(pack(withPkru(0xa80)), pack(withPkru(0x980)))).toEqual([
      '0xd.9 (pkru_state is 8 bytes at 2688 of the XSAVE area; on this host 8 bytes at 2432)',
    ]);
  });

  it('compares the version and the vector lengths of AVX10', () => {
    const withAvx10 = (ebx: number): Row[] => [
      INTEL.with(2, 0x24) as Row,
      [7, 1, 0, 0, 0, 0x80000],
      [0x24, 0, 0, ebx, 0, 0],
    ];
    expect(missingFeatures(pack(withAvx10(0x70001)), pack(withAvx10(0x70002)))).toEqual([]);
    expect(missingFeatures(pack(withAvx10(0x70002)), pack(withAvx10(0x70001)))).toEqual([
      '0x24.ebx (the guest has AVX10 version 2 of 128/256/512 bits, this host version 1 of 128/256/512 bits)',
    ]);
    expect(missingFeatures(pack(withAvx10(0x70001)), pack(withAvx10(0x30001)))).toHaveLength(1);
    expect(missingFeatures(pack(withAvx10(0x70001)), pack([INTEL]))).toEqual([
      '0x7.1.edx.19 (avx10)',
      '0x24.ebx (the guest has AVX10 version 1 of 128/256/512 bits, this host version 0 of no bits)',
    ]);
  });
});

describe('cpuObjections', () => {
  const guest = guestCpuid(pack(HOSTS[4]), {
    ...{ cpu: 'host', cpuIndex: 0, cpus: 1, ramEnd: 2 ** 30, tscKhz: 0 },
    tscDeadlineTimer: true,
  });

  it.each([
    [3, /avx512f.*: boot it with the CPU x86-64-v3, or a lower level, to have it move between hosts like these$/],
    [1, /sse4_1.*: move it to a host with a CPU like its own$/],
  ] as const)('say what can be done where the host is of level %d', (host, what) => {
    expect(cpuObjections(guest, pack(HOSTS[host]))).toEqual([expect.stringMatching(what)]);
  });

  it('say that it is the vendor', () => {
    expect(cpuObjections(guest, pack([AMD]))).toEqual([expect.stringMatching(/CPUs of one vendor only$/)]);
  });
});

describe('withheldFeatures', () => {
  it('names bits and leaves that KVM supports and guests do not get', () => {
    const host: Row[] = [
      INTEL,
      [1, 0, 0, 0, 0x8000002b, 0],
      [7, 0, 0, 0x02000000, 0x80, 0],
      [0xa, 0, 0x07300402, 0, 0, 0],
      [0x14, 0, 1, 0, 0, 0],
      [0x14, 1, 1, 0, 0, 0],
      [0x23, 0, 0, 0, 0, 0],
    ];
    expect(withheldFeatures(pack(host))).toEqual([
      '0x1.ecx.3 (monitor)',
      '0x1.ecx.5 (vmx)',
      '0x7.ebx.25 (intel_pt)',
      '0x7.ecx.7 (shstk)',
      'leaf 0xa',
      'leaf 0x14',
    ]);
  });
});
