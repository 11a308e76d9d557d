import { describe, expect, it } from 'vitest';
import { allowedCpuid } from '../../../src/boot/cpuid-allowed.js';
import { decodeCpuid, encodeCpuid } from '../../../src/boot/cpuid-entries.js';
import { CPUS_MAX } from '../../../src/configure/machine-setting.js';
import { AMD, INTEL, leaf, pack, unpack, type Row } from './cpuid-tables.js';

const ONES = 0xffffffff;
const allowed = (...rows: Row[]): Uint8Array => encodeCpuid(allowedCpuid(decodeCpuid(pack(rows))));
/** The bits that do not pass, of a register that has them all. */
const heldBack = (number: number, index: number, register: number): number[] => {
  const value = leaf(allowed([number, index, ONES, ONES, ONES, ONES]), number, index)?.[register] ?? 0;
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((value >>> bit) & 1) === 0);
};
const [EAX, EBX, ECX, EDX] = [0, 1, 2, 3];

describe('allowedCpuid', () => {
  it('drops leaves whose state does not move, and those that nobody knows', () => {
    // MONITOR, performance counters, SGX, processor trace, key locker, LBR, AMX; SVM, SEV, AMD's counters; of no name.
    const leaves = [5, 0xa, 0x12, 0x14, 0x19, 0x1c, 0x1d, 0x1e, 0x23, 0x8000000a, 0x8000001f, 0x80000022];
    const unknown = [0x25, 0x40000002, 0x40000010, 0x80000026, 0xc0000001];
    expect(unpack(allowed(...[...leaves, ...unknown].map((n): Row => [n, 0, 1, 2, 3, 4])))).toEqual([]);
  });

  it('leaves little enough for HELLO to have it of each vCPU, in a frame of 64 KiB', () => {
    // A host that has all that there is, with more caches, levels of topology and components than any.
    const numbers = [0, 0x40000000, 0x80000000].flatMap((base) => Array.from({ length: 0x40 }, (_, n) => base + n));
    const subleaves = (n: number): number => ({ 4: 8, 7: 4, 0xb: 4, 0xd: 32, 0x1f: 8, 0x8000001d: 8 })[n] ?? 1;
    const all = numbers.flatMap((n) =>
      Array.from({ length: subleaves(n) }, (_, index): Row => [n, index, ONES, ONES, ONES, ONES]),
    );
    expect(allowed(...all).length * CPUS_MAX.kvm).toBeLessThan(48 * 1024);
  });

  it.each([
    ['processor trace, SGX and cache monitoring', 7, 0, EBX, [2, 12, 15, 22, 25]],
    [
      'shadow stacks, key locker, ENQCMD and supervisor keys',
      7,
      0,
      ECX,
      [4, 7, 13, 15, 17, 18, 19, 20, 21, 23, 26, 29, 30, 31],
    ],
    [
      'indirect branch tracking, AMX, user interrupts, branch records',
      ...([7, 0, EDX, [0, 1, 5, 6, 7, 9, 12, 13, 15, 17, 18, 19, 20, 21, 22, 24, 25, 30]] as const),
    ],
    [
      'FRED, AMX and what has no name',
      7,
      1,
      EAX,
      [3, 8, 9, 13, 14, 15, 16, 17, 18, 20, 21, 22, 24, 25, 27, 28, 29, 30],
    ],
    ['XFD', 0xd, 1, EAX, [4, ...Array.from({ length: 27 }, (_, bit) => bit + 5)]],
    ['all that is supervisor state', 0xd, 1, ECX, Array.from({ length: 32 }, (_, bit) => bit)],
  ])('holds back %s', (_, number, index, register, bits) => {
    expect(heldBack(number, index, register)).toEqual([...bits]);
  });

  it('holds back supervisor shadow stacks and AMX of leaf 7.1, and lets AVX10 pass', () => {
    const bits = heldBack(7, 1, EDX);
    expect([8, 18].every((bit) => bits.includes(bit))).toBe(true);
    expect(bits).not.toContain(19);
  });

  it('takes what it held back out of the XSAVE area, and makes its size anew', () => {
    const bytes = allowed(
      [1, 0, 0, 0, 0x04000000, 0],
      [0xd, 0, 0x602e7, 0x2b00, 0x2b00, 0],
      [0xd, 1, 0x1f, 0x2b00, 0x1900, 0],
      [0xd, 2, 0x100, 0x240, 0, 0],
      [0xd, 9, 8, 0xa80, 0, 0],
      [0xd, 11, 0x10, 0, 1, 0],
      [0xd, 17, 0x40, 0xac0, 2, 0],
      [0xd, 18, 0x2000, 0xb00, 6, 0],
    );
    expect(unpack(bytes).slice(1)).toEqual([
      [0xd, 0, 0x2e7, 0x2b00, 0xa88, 0],
      [0xd, 1, 0xf, 0x2b00, 0, 0],
      [0xd, 2, 0x100, 0x240, 0, 0],
      [0xd, 9, 8, 0xa80, 0, 0],
    ]);
  });

  it('tells no higher leaf than it knows', () => {
    const bytes = allowed(INTEL.with(2, 0x30) as Row, [7, 0, 5, 0, 0, 0], [0x80000000, 0, 0x80000028, 0, 0, 0]);
    expect([leaf(bytes, 0)?.[0], leaf(bytes, 7)?.[0], leaf(bytes, 0x80000000)?.[0]]).toEqual([0x24, 2, 0x80000021]);
    expect(leaf(allowed(AMD), 0)?.[0]).toBe(0x1c);
  });

  it('leaves what describes a CPU as it is', () => {
    const rows: Row[] = [
      [2, 0, 1, 2, 3, 4],
      [4, 3, 1, 2, 3, 4],
      [0x80000002, 0, 1, 2, 3, 4],
      [0x80000006, 0, 1, 2, 3, 4],
      [0x8000001d, 2, 1, 2, 3, 4],
    ];
    expect(unpack(allowed(...rows))).toEqual(rows);
  });
});
