import { describe, expect, it } from 'vitest';
import { bootRegisters, KVM_REGS_BYTES, KVM_SREGS_BYTES } from '../../../../src/boot/cpu-registers.js';
import { viewOf } from '../../../../src/memory/byte-view.js';
import { GUEST_BASE } from '../../../../src/memory/layout.js';
import { GIB, MIB } from '../../../../src/memory/page-size.js';
import type { NativeVcpu } from '../../../../src/native.js';
import {
  contentOf,
  firstPages,
  firstState,
  type FirstState,
  withoutLost,
} from '../../../../src/migrate/source/first-pages.js';

const PAGE = 4096;
const BYTES = 64 * MIB;
/** In struct kvm_regs and struct kvm_sregs. */
const [RSP, R15, RIP] = [6, 15, 16].map((register) => register * 8) as [number, number, number];
const [GS_BASE, CR0, CR3, CR4, EFER] = [96, 224, 240, 248, 264];
const [PRESENT, LARGE] = [1n, 0x80n];

/** Where the page tables of these tests are, by level from the top: pages 16 to 20. */
const TABLES = 16;

class Guest {
  readonly #pages = new Map<number, Uint8Array>();
  readonly regs = new Uint8Array(KVM_REGS_BYTES);
  readonly sregs = new Uint8Array(KVM_SREGS_BYTES);
  msrs = new Uint8Array(0);
  reads = 0;

  constructor(readonly bytes = BYTES) {}

  read(offset: number, into: Uint8Array): void {
    this.reads++;
    if (offset + into.length > this.bytes) throw new Error('outside of RAM');
    const page = this.#page(Math.floor(offset / PAGE));
    into.set(page.subarray(offset % PAGE, (offset % PAGE) + into.length));
  }

  write(): void {
    throw new Error('only read');
  }

  set(register: number, value: bigint | number): void {
    viewOf(this.regs).setBigUint64(register, BigInt.asUintN(64, BigInt(value)), true);
  }

  setSystem(register: number, value: bigint | number): void {
    viewOf(this.sregs).setBigUint64(register, BigInt.asUintN(64, BigInt(value)), true);
  }

  setMsr(index: number, value: bigint): void {
    const entry = new Uint8Array(16);
    viewOf(entry).setUint32(0, index, true);
    viewOf(entry).setBigUint64(8, value, true);
    this.msrs = Uint8Array.from([...this.msrs, ...entry]);
  }

  entry(table: number, index: number, value: bigint): void {
    viewOf(this.#page(table)).setBigUint64(index * 8, value, true);
  }

  /** Long mode; the tables map a linear address to a page. */
  map(linear: bigint, page: bigint, levels = 4, stopAt = 0): void {
    this.setSystem(CR0, 0x80000001n);
    this.setSystem(CR3, TABLES * PAGE + 0x18);
    this.setSystem(CR4, levels === 5 ? 0x1020n : 0x20n);
    this.setSystem(EFER, 0x500n);
    for (let level = levels - 1; level >= stopAt; level--) {
      const table = TABLES + levels - 1 - level;
      const index = Number((linear >> BigInt(12 + 9 * level)) & 511n);
      const next = level === stopAt ? page * 4096n : BigInt(table + 1) * 4096n;
      // Bits that are no address: no-execute, and a protection key.
      this.entry(table, index, next | PRESENT | (stopAt > 0 && level === stopAt ? LARGE : 0n) | (0xf8n << 56n));
    }
  }

  get state(): FirstState {
    return { regs: this.regs, sregs: this.sregs, msrs: this.msrs };
  }

  first(): number[] {
    return firstPages(this, [this.state]);
  }

  #page(page: number): Uint8Array {
    const there = this.#pages.get(page) ?? new Uint8Array(PAGE);
    this.#pages.set(page, there);
    return there;
  }
}

const KERNEL = 0xffff_ffff_8123_4000n;

describe('firstPages', () => {
  it('are what registers point to where nothing is paged', () => {
    const guest = new Guest();
    guest.set(RIP, 5 * PAGE + 7);
    guest.set(RSP, 9 * PAGE);
    guest.set(R15, 12 * PAGE);
    // Page 0: the registers that hold nothing.
    expect(guest.first()).toEqual([0, 5, 9, 8, 6, 12]);
  });

  it.each([4, 5])('are page tables of %d levels as well, on the way to the code', (levels) => {
    const guest = new Guest();
    guest.map(KERNEL, 900n, levels);
    guest.set(RIP, KERNEL + 0x123n);
    const tables = Array.from({ length: levels }, (_, i) => TABLES + i);
    expect(guest.first()).toEqual([0, ...tables, 900]);
  });

  it.each([
    ['2 MiB', 1, 512n * 4n, 4 * 512 + 0x34],
    ['1 GiB', 2, 0n, 0x1234],
  ])('are found in pages of %s', (_size, stopAt, page, found) => {
    const guest = new Guest();
    guest.map(KERNEL, page, 4, stopAt);
    guest.set(RIP, KERNEL);
    expect(guest.first()).toContain(found);
  });

  it('end where nothing is mapped, or what is mapped is no RAM', () => {
    const guest = new Guest();
    guest.map(KERNEL, 900n);
    guest.set(RIP, KERNEL);
    guest.entry(TABLES + 2, Number((KERNEL >> 21n) & 511n), 0n);
    expect(guest.first()).toEqual([0, TABLES, TABLES + 1, TABLES + 2]);
    guest.entry(TABLES + 1, Number((KERNEL >> 30n) & 511n), (1n << 51n) | PRESENT);
    expect(guest.first()).toEqual([0, TABLES, TABLES + 1]);
    guest.setSystem(CR3, 0xf_ffff_ffff_f000n);
    expect(guest.first()).toEqual([0]);
  });

  it('are none in modes that are not followed', () => {
    const guest = new Guest();
    guest.set(RIP, 5 * PAGE);
    guest.setSystem(CR0, 0x80000001n);
    expect(guest.first()).toEqual([0]);
    expect(guest.reads).toBe(0);
  });

  it('are those that KVM writes, and a kernel’s own, by MSRs', () => {
    const guest = new Guest();
    guest.setMsr(0x4b564d01, 30n * 4096n + 1n);
    guest.setMsr(0x4b564d03, 31n * 4096n + 64n + 1n);
    guest.setMsr(0xc0000102, 32n * 4096n);
    guest.setMsr(0x10, 33n * 4096n);
    expect(guest.first()).toEqual([30, 31, 0, 32, 1]);
  });

  it('lie beyond the hole below 4 GiB as RAM does', () => {
    const guest = new Guest(4 * GIB);
    guest.set(RIP, 4 * GIB + 2 * PAGE);
    guest.set(RSP, 3 * GIB + 2 * PAGE);
    expect(guest.first()).toEqual([0, 3 * 262144 + 2, 3 * 262144 + 3]);
  });

  it('are at most 32 of each vCPU, and 128 in all', () => {
    const vcpus = Array.from({ length: 9 }, (_, vcpu) => {
      const guest = new Guest();
      for (let register = 0; register < 17; register++)
        guest.set(register * 8, (1000 * (vcpu + 1) + 3 * register) * PAGE);
      for (const at of [0, 16, 40]) guest.setSystem(GS_BASE + at, (1000 * (vcpu + 1) + 100 + at) * PAGE);
      for (let i = 0; i < 2; i++) guest.setMsr([0xc0000102, 0xc0000082][i]!, BigInt((1000 * vcpu + 500 + i) * PAGE));
      return guest;
    });
    const single = firstPages(vcpus[0]!, [vcpus[0]!.state]);
    expect(single.length).toBeLessThanOrEqual(32);
    const all = firstPages(
      vcpus[0]!,
      vcpus.map(({ state }) => state),
    );
    expect(all.length).toBe(128);
    expect(new Set(all).size).toBe(128);
    // Each has its share of them, the surest ones: its code, its stack and the page below.
    vcpus.forEach((_, vcpu) => {
      const [code, stack] = [16, 6].map((register) => 1000 * (vcpu + 1) + 3 * register) as [number, number];
      expect(all).toEqual(expect.arrayContaining([code, stack, stack - 1]));
      expect(all.filter((page) => Math.floor(page / 1000) === vcpu + 1).length).toBeGreaterThanOrEqual(10);
    });
  });

  it('are found by whatever a guest has put there', () => {
    const guest = new Guest();
    guest.map(KERNEL, 900n);
    // The table's entries are the table.
    for (let index = 0; index < 512; index++) guest.entry(TABLES, index, BigInt(TABLES * PAGE) | PRESENT);
    for (let register = 0; register < 17; register++) guest.set(register * 8, -1 - register * 2 ** 30);
    expect(guest.first()).toEqual([0, TABLES]);
  });

  it('are few for a vCPU that begins', () => {
    const guest = new Guest();
    const { regs, sregs } = bootRegisters(
      { protocol: 'pvh', entryAddress: 16 * MIB, bootInfoAddress: 6 * PAGE },
      new Uint8Array(KVM_SREGS_BYTES),
    );
    expect(firstPages(guest, [{ regs, sregs, msrs: new Uint8Array(0) }])).toContain(16 * 256);
  });
});

it('contentOf reads pages one after the other', () => {
  const guest = new Guest();
  guest.entry(7, 0, 0x77n);
  guest.entry(3, 511, 0x33n << 56n);
  const content = contentOf(guest, [7, 3]);
  expect([content.length, content[0], content[2 * PAGE - 1]]).toEqual([2 * PAGE, 0x77, 0x33]);
});

describe('firstPages of a thread', () => {
  const linear = (offset: number) => BigInt(GUEST_BASE + offset);

  function firstOf(set: (guest: Guest) => void, bytes = BYTES): { pages: number[]; reads: number } {
    const guest = new Guest(bytes);
    set(guest);
    return { pages: firstPages(guest, [{ regs: guest.regs }]), reads: guest.reads };
  }

  it('are its code, its stack, those beside them, and what its registers point to, without page tables', () => {
    const { pages, reads } = firstOf((guest) => {
      guest.set(RIP, linear(5 * PAGE + 7));
      guest.set(RSP, linear(9 * PAGE));
      guest.set(R15, linear(12 * PAGE + 4095));
    });
    expect([...pages].sort((a, b) => a - b)).toEqual([5, 6, 8, 9, 12]);
    expect(reads).toBe(0);
  });

  it('lie in RAM without a hole, also beyond 3 GiB', () => {
    const { pages } = firstOf((guest) => guest.set(R15, linear(3 * GIB + PAGE)), 4 * GIB);
    expect(pages).toEqual([(3 * GIB) / PAGE + 1]);
  });

  it.each([0n, linear(-1), linear(BYTES), 1n << 63n, (1n << 64n) - 1n])(
    'are none where %d is no place in RAM',
    (address) => {
      const { pages } = firstOf((guest) => {
        for (let register = 0; register < 17; register++) guest.set(register * 8, address);
      });
      expect(pages.filter((page) => page < 0 || page >= BYTES / PAGE)).toEqual([]);
      // The pages beside the code and the stack may be the first and the last.
      expect(pages.length).toBeLessThanOrEqual(1);
    },
  );

  it('take no more of it than its general registers', () => {
    const asked: string[] = [];
    const vcpu = { getState: (name: string) => (asked.push(name), new Uint8Array(KVM_REGS_BYTES)) };
    firstState(vcpu as unknown as NativeVcpu, 'threads');
    expect(asked).toEqual(['regs']);
  });
});

it('pages that are lost to a memory error are told apart from those that can be read, and no other error is', () => {
  const failing = (code: string) => ({
    bytes: 4 * 4096,
    read: (offset: number) => {
      if (offset >= 2 * 4096 && offset < 3 * 4096) throw Object.assign(new Error('no'), { code });
    },
  });
  expect(withoutLost(failing('EHWPOISON') as never, [3, 2, 1])).toEqual([3, 1]);
  expect(() => withoutLost(failing('EIO') as never, [2])).toThrow('no');
});
