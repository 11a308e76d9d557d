import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadKernel } from '../../../src/boot/load-kernel.js';
import { PostcopyError } from '../../../src/errors.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { FakeRam } from '../memory/fake-ram.js';
import { makeElf, makeEntryNote, MIB } from './images.js';

function load(kernel: Uint8Array, initrd?: Uint8Array, cmdline = '', bytes = 64 * MIB) {
  const memory = new GuestMemory(new FakeRam(bytes));
  const entry = loadKernel(memory, { kernel, kernelPath: '/k/vmlinux', initrd, cmdline }, 0xe0000);
  return { memory, entry };
}

function expectBad(kernel: Uint8Array, message: RegExp, bytes?: number): void {
  let thrown: unknown;
  try {
    load(kernel, undefined, '', bytes);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(PostcopyError);
  expect((thrown as PostcopyError).code).toBe('BAD_KERNEL');
  expect((thrown as PostcopyError).message).toMatch(message);
  expect((thrown as PostcopyError).message).toMatch(/^\/k\/vmlinux [^\n]*$/);
}

describe('an ELF file with a PVH note', () => {
  it.each([true, false])('is loaded segment by segment (64-bit: %s)', (wide) => {
    const segments = [
      { paddr: 2 * MIB, bytes: Buffer.from('second'), memsz: 0x1000 },
      { paddr: MIB, bytes: Buffer.from('first') },
    ];
    const { memory, entry } = load(makeElf({ wide, segments, entry: 2 * MIB + 0x10 }));
    expect(entry).toEqual({ protocol: 'pvh', entryAddress: 0x200010, bootInfoAddress: 0x6000 });
    expect(Buffer.from(memory.read(MIB, 6)).toString()).toBe('first\0');
    expect(Buffer.from(memory.read(2 * MIB, 7)).toString()).toBe('second\0');
  });

  it('gets hvm_start_info', () => {
    const { memory } = load(makeElf(), Buffer.alloc(4097, 0xcd), 'a=b');
    const info = Buffer.from(memory.read(0x6000, 56));
    expect(info.toString('hex')).toBe(
      '78c56e33' +
        '01000000' +
        '00000000' +
        '01000000' + // magic, version, flags, modules
        '4060000000000000' +
        '0000020000000000' +
        '00000e0000000000' + // modlist, command line, RSDP
        '0061000000000000' +
        '05000000' +
        '00000000', // memory map
    );
    expect(Buffer.from(memory.read(0x6040, 32)).toString('hex')).toBe(
      '00e0ff0300000000' + '0110000000000000' + '0000000000000000' + '0000000000000000',
    );
    expect([...memory.read(0x3ffe000, 1), ...memory.read(0x3fff000, 2)]).toEqual([0xcd, 0xcd, 0]);
    expect(Buffer.from(memory.read(0x20000, 4)).toString()).toBe('a=b\0');
    expect(Buffer.from(memory.read(0x6100, 24)).toString('hex')).toBe(
      '0000000000000000' + '00fc090000000000' + '01000000' + '00000000',
    );
    expect(memory.read(0x9000, 8).every((byte) => byte === 0)).toBe(true); // no page tables
  });

  it('has no module without an initrd', () => {
    const info = Buffer.from(load(makeElf()).memory.read(0x6000, 56));
    expect([info.readUInt32LE(12), info.readBigUInt64LE(16)]).toEqual([0, 0n]);
  });

  it('finds the note behind others, with either alignment', () => {
    const other = Buffer.alloc(20); // name "GNU", 1 byte of descriptor
    other.writeUInt32LE(4, 0);
    other.writeUInt32LE(1, 4);
    other.write('GNU\0', 12);
    const note = Buffer.concat([other, makeEntryNote(MIB)]);
    expect(load(makeElf({ note })).entry.entryAddress).toBe(MIB);
    const wide = Buffer.concat([other, Buffer.alloc(4), makeEntryNote(MIB)]);
    expect(load(makeElf({ note: wide, noteAlign: 8 })).entry.entryAddress).toBe(MIB);
  });

  it('is refused without the note', () => {
    expectBad(makeElf({ note: Buffer.alloc(0) }), /without a PVH entry point/);
    expectBad(makeElf({ note: makeEntryNote(MIB, 2 + 4) }), /PVH note holds no address/);
    const lying = makeEntryNote(MIB);
    lying.writeUInt32LE(0xffffffff, 4);
    expectBad(makeElf({ note: lying }), /without a PVH entry point/);
  });

  it('is refused with an entry point in no segment', () => {
    expectBad(makeElf({ entry: MIB + 6 }), /entry point 0x100006 is in no segment/);
    expectBad(makeElf({ segments: [] }), /is in no segment/);
  });

  it('is refused for where its segments lie', () => {
    const at = (paddr: number, memsz?: number) => ({ paddr, bytes: Buffer.from('x'), memsz });
    expectBad(makeElf({ segments: [at(0x7000)] }), /segment below 1 MiB/);
    expectBad(makeElf({ segments: [at(MIB, 0x1001), at(MIB + 0x1000)] }), /segments overlap/);
    expectBad(makeElf({ segments: [at(MIB), at(MIB)] }), /segments overlap/);
    expectBad(makeElf({ segments: [at(MIB, 64 * MIB)] }), /needs 65 MiB for this kernel, the guest has 64 MiB/);
    expectBad(makeElf({ segments: [at(0xc0000000)] }), /beyond 3 GiB/, 8192 * MIB);
    expectBad(makeElf({ segments: [at(MIB, Number.MAX_SAFE_INTEGER)] }), /beyond 3 GiB/);
  });

  it('is refused for lying headers', () => {
    const change = (damage: (file: Buffer) => void): Buffer => {
      const file = makeElf();
      damage(file);
      return file;
    };
    const load1 = 64 + 56; // the program header of the PT_LOAD
    expectBad(
      change((f) => f.writeUInt16LE(183, 18)),
      /another processor \(machine 183\)/,
    );
    expectBad(
      change((f) => (f[5] = 2)),
      /little-endian/,
    );
    expectBad(
      change((f) => (f[4] = 3)),
      /little-endian/,
    );
    expectBad(
      change((f) => f.writeUInt16LE(0xffff, 56)),
      /program headers lie outside/,
    );
    expectBad(
      change((f) => f.writeUInt16LE(8, 54)),
      /program headers lie outside/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(2n ** 64n - 1n, 32)),
      /program headers lie outside/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(2n ** 64n - 1n, load1 + 8)),
      /segment lies outside/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(2n ** 63n, load1 + 32)),
      /segment lies outside/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(5n, load1 + 40)),
      /larger in the file than in memory/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(2n ** 64n - 1n, load1 + 40)),
      /beyond 3 GiB/,
    );
    expectBad(
      change((f) => f.writeBigUInt64LE(2n ** 64n - 1n, load1 + 24)),
      /beyond 3 GiB/,
    );
  });

  it('is refused when cut anywhere', () => {
    const whole = makeElf();
    for (let length = 0; length < whole.length; length++) expectBad(whole.subarray(0, length), /./);
  });

  it('survives damage anywhere', () => {
    const whole = makeElf();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const file = Buffer.from(whole);
        for (const [at, value] of changes) file[at] = value;
        try {
          load(file);
        } catch (error) {
          expect(error).toBeInstanceOf(PostcopyError);
        }
      }),
    );
  });
});
