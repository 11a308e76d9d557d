import { describe, expect, it } from 'vitest';
import { bootRegisters, describeRegisters, generalPointers, threadRegisters } from '../../../src/boot/cpu-registers.js';

const LINUX = { protocol: 'linux64', entryAddress: 0x1000200, bootInfoAddress: 0x7000 } as const;
const PVH = { protocol: 'pvh', entryAddress: 0x100000, bootInfoAddress: 0x6000 } as const;

/** struct kvm_sregs after reset, as far as it matters here. */
function resetSregs(): Uint8Array {
  const sregs = Buffer.alloc(312);
  sregs.writeBigUInt64LE(0x60000010n, 224); // cr0
  sregs.writeBigUInt64LE(0xfee00900n, 272); // apic_base
  sregs.writeBigUInt64LE(0xffff0000n, 0); // cs.base
  return sregs;
}

const segment = (bytes: Uint8Array, at: number): string => Buffer.from(bytes.subarray(at, at + 24)).toString('hex');
const u64 = (bytes: Uint8Array, at: number): bigint => Buffer.from(bytes).readBigUInt64LE(at);

describe('bootRegisters', () => {
  it('enters Linux in long mode', () => {
    const before = resetSregs();
    const { regs, sregs } = bootRegisters(LINUX, before);
    expect(before).toEqual(resetSregs());
    expect(regs.length).toBe(144);
    // rip, rflags, rsi, rsp, rbx
    expect([128, 136, 32, 48, 8].map((at) => u64(regs, at))).toEqual([0x1000200n, 2n, 0x7000n, 0x8ff0n, 0n]);
    // cr0, cr2, cr3, cr4, cr8, efer, apic_base
    expect([224, 232, 240, 248, 256, 264, 272].map((at) => u64(sregs, at))).toEqual([
      0x80000011n,
      0n,
      0x9000n,
      0x20n,
      0n,
      0x500n,
      0xfee00900n,
    ]);
    // base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, padding
    expect(segment(sregs, 0)).toBe(
      '0000000000000000' + 'ffffffff' + '1000' + '0b01' + '0000' + '0101' + '0100' + '0000',
    );
    for (const at of [24, 48, 72, 96, 120]) {
      expect(segment(sregs, at)).toBe(
        '0000000000000000' + 'ffffffff' + '1800' + '0301' + '0001' + '0100' + '0100' + '0000',
      );
    }
    expect(segment(sregs, 144)).toBe(
      '0000000000000000' + '67000000' + '2000' + '0b01' + '0000' + '0000' + '0000' + '0000',
    );
    expect(Buffer.from(sregs.subarray(192, 202)).toString('hex')).toBe('0005000000000000' + '2f00');
    expect(Buffer.from(sregs.subarray(208, 218)).toString('hex')).toBe('0000000000000000' + '0000');
  });

  it('enters PVH in protected mode without paging', () => {
    const { regs, sregs } = bootRegisters(PVH, resetSregs());
    expect([128, 8, 32].map((at) => u64(regs, at))).toEqual([0x100000n, 0x6000n, 0n]);
    expect([224, 240, 248, 264].map((at) => u64(sregs, at))).toEqual([0x11n, 0n, 0n, 0n]);
    expect(segment(sregs, 0)).toBe(
      '0000000000000000' + 'ffffffff' + '0800' + '0b01' + '0001' + '0100' + '0100' + '0000',
    );
  });

  it('refuses another size of struct kvm_sregs', () => {
    expect(() => bootRegisters(PVH, new Uint8Array(311))).toThrow(RangeError);
  });
});

describe('describeRegisters', () => {
  it('names and shows every register', () => {
    const { regs, sregs } = bootRegisters(LINUX, resetSregs());
    const text = describeRegisters(regs, sregs);
    expect(text.split('\n')[0]).toBe(
      'rip    0000000001000200  rflags 0000000000000002  rax    0000000000000000  rbx    0000000000000000',
    );
    expect(text).toContain('cr3    0000000000009000');
    expect(text).toContain('efer   0000000000000500');
    expect(text).toContain('cs     0010 base 0000000000000000 limit ffffffff type b dpl 0 db 0 l 1');
    expect(text).toContain('gdt         base 0000000000000500 limit 002f');
    for (const name of 'rsi rdi rsp rbp r8 r15 cr0 cr2 cr4 cr8 apic ds es fs gs ss tr ldt idt'.split(' ')) {
      expect(text).toMatch(new RegExp(`(^|  )${name} `, 'm'));
    }
  });

  it('does not fail on short structures', () => {
    expect(describeRegisters(new Uint8Array(), new Uint8Array())).toBe('(no registers)');
  });
});

describe('threadRegisters', () => {
  it('enters a thread of the guest with its boot information and its index, and nothing else', () => {
    const regs = threadRegisters(0x4000_0010_0002, 0x6000, 63);
    expect(regs.length).toBe(144);
    const set = Array.from({ length: 18 }, (_, i) => [i * 8, u64(regs, i * 8)]).filter(([, value]) => value !== 0n);
    // rsi, rdi, rip, rflags
    expect(set).toEqual([
      [32, 63n],
      [40, 0x6000n],
      [128, 0x4000_0010_0002n],
      [136, 0x202n],
    ]);
  });
});

describe('generalPointers', () => {
  it('are all registers but the flags, code and stack first', () => {
    const regs = new Uint8Array(144);
    for (let i = 0; i < 18; i++) new DataView(regs.buffer).setBigUint64(i * 8, BigInt(i + 1), true);
    const inOrder = [...Array(16).keys()].filter((i) => i !== 6).map((i) => BigInt(i + 1));
    expect(generalPointers(regs)).toEqual([17n, 7n, ...inOrder]);
  });
});
