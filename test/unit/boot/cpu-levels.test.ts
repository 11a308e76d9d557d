import { describe, expect, it } from 'vitest';
import { highestLevel, missingOfLevel } from '../../../src/boot/cpu-levels.js';
import { guestCpuid } from '../../../src/boot/cpuid.js';
import { cpuObjections } from '../../../src/boot/cpuid-compare.js';
import { decodeCpuid } from '../../../src/boot/cpuid-entries.js';
import { CPUS, type CpuLevel, type CpuName } from '../../../src/configure/cpu-setting.js';
import { HOSTS, leaf, pack, unpack } from './cpuid-tables.js';

type Host = keyof typeof HOSTS;
const LEVELS = CPUS.filter((cpu): cpu is CpuLevel => cpu !== 'host');
const cpuidOf = (host: Host): Uint8Array => pack(HOSTS[host]);
const guest = (host: Host, cpu: CpuName, ramEnd = 2 ** 30): Uint8Array =>
  guestCpuid(cpuidOf(host), { ...{ cpu, cpuIndex: 0, cpus: 1, ramEnd, tscKhz: 0 }, tscDeadlineTimer: true });

describe('the levels of a host', () => {
  it.each<[Host, CpuLevel | undefined]>([
    [1, undefined],
    [2, 'x86-64-v2'],
    [3, 'x86-64-v3'],
    [4, 'x86-64-v4'],
  ])('host %d has %s at most', (host, level) => {
    expect(highestLevel(decodeCpuid(cpuidOf(host)))).toBe(level);
  });

  it('names what is missing', () => {
    expect(missingOfLevel('x86-64-v2', decodeCpuid(cpuidOf(1)))).toEqual([
      '0x1.ecx.19 (sse4_1)',
      '0x1.ecx.20 (sse4_2)',
      '0x1.ecx.23 (popcnt)',
      '0x80000001.ecx.0 (lahf_lm)',
    ]);
    expect(missingOfLevel('x86-64-v4', decodeCpuid(cpuidOf(3)))).toEqual([
      ...['0x7.ebx.16 (avx512f)', '0x7.ebx.17 (avx512dq)', '0x7.ebx.28 (avx512cd)', '0x7.ebx.30 (avx512bw)'],
      ...[
        '0x7.ebx.31 (avx512vl)',
        '0xd.eax.5 (opmask_state)',
        '0xd.eax.6 (zmm_hi256_state)',
        '0xd.eax.7 (hi16_zmm_state)',
      ],
    ]);
  });
});

describe('a guest of a level', () => {
  it('sees the level and what KVM gives, and nothing else of the host', () => {
    const bytes = guest(4, 'x86-64-v3');
    // FMA, MOVBE, XSAVE, AVX, F16C and those of level 2; x2APIC, the deadline timer, the hypervisor. No AES, PCID, RDRAND.
    expect(leaf(bytes, 1)?.slice(2)).toEqual([0xb5f83203 & ~0x00020002 & ~0x02000000, 0x078bfbff].map((v) => v >>> 0));
    expect(leaf(bytes, 7)).toEqual([2, 0x0000012a, 0, 0]);
    expect(leaf(bytes, 0xd)).toEqual([7, 0xa88, 0x340, 0]);
    expect(leaf(bytes, 0xd, 1)?.[0]).toBe(0);
    expect(
      unpack(bytes)
        .filter((row) => row[0] === 0xd)
        .map((row) => row[1]),
    ).toEqual([0, 1, 2]);
    expect(leaf(bytes, 0x80000001)?.slice(2)).toEqual([0x21, 0x20100800]);
    expect(leaf(bytes, 0x40000001)?.[0]).toBe(0x01007efb);
  });

  it('has no XSAVE below level 3', () => {
    expect(leaf(guest(4, 'x86-64-v2'), 0xd)).toBeUndefined();
  });

  it('has as many address bits as the least of such CPUs, or as its RAM needs', () => {
    const bits = (cpu: CpuName, ramEnd?: number) => leaf(guest(4, cpu, ramEnd), 0x80000008)?.[0];
    expect([bits('host'), bits('x86-64-v3'), bits('x86-64-v2')]).toEqual([0x302e, 0x3027, 0x3024]);
    expect(bits('x86-64-v2', 2 ** 40 + 2 ** 30)).toBe(0x3029);
  });

  it('goes from any host that has the level to any that has', () => {
    for (const [at, level] of LEVELS.entries()) {
      const hosts = ([2, 3, 4] as const).slice(at);
      for (const from of hosts) {
        for (const to of hosts)
          expect(cpuObjections(guest(from, level), cpuidOf(to)), `${level}, ${from} to ${to}`).toEqual([]);
      }
    }
  });

  it.each<[Host, CpuLevel, RegExp]>([
    [1, 'x86-64-v2', /this host's CPU is no x86-64-v2, it lacks .*\(sse4_1\).*: boot it as host, or on another host$/],
    [2, 'x86-64-v3', /is no x86-64-v3, it lacks .*\(avx2\).*: boot it as x86-64-v2, or on another host$/],
    [3, 'x86-64-v4', /lacks 0x7\.ebx\.16 \(avx512f\), .*: boot it as x86-64-v3, or/],
  ])('is not booted on a host below it: %d, %s', (host, level, why) => {
    expect(() => guest(host, level)).toThrow(
      expect.objectContaining({ code: 'HOST_LACKS', message: expect.stringMatching(why) }),
    );
  });
});
