import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadKernel, type BootEntry } from '../../../src/boot/load-kernel.js';
import { PostcopyError } from '../../../src/errors.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { FakeRam } from '../memory/fake-ram.js';
import { makeBzImage, MIB } from './images.js';

const RSDP = 0xe0000;

function load(kernel: Uint8Array, more: { memory?: number; initrd?: Uint8Array; cmdline?: string } = {}) {
  const memory = new GuestMemory(new FakeRam(more.memory ?? 64 * MIB));
  const files = {
    kernel,
    kernelPath: '/k/bzImage',
    initrd: more.initrd,
    initrdPath: '/k/initrd',
    cmdline: more.cmdline ?? '',
  };
  const entry: BootEntry = loadKernel(memory, files, RSDP);
  return { memory, entry, zeroPage: Buffer.from(memory.read(entry.bootInfoAddress, 4096)) };
}

function problem(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof PostcopyError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a bzImage', () => {
  it('is loaded at its preferred address and entered 0x200 behind it', () => {
    const { memory, entry } = load(makeBzImage());
    expect(entry).toEqual({ protocol: 'linux64', entryAddress: 0x1000200, bootInfoAddress: 0x7000 });
    expect([...memory.read(0xffffff, 2)]).toEqual([0, 0xab]);
    expect([...memory.read(0x1000fff, 2)]).toEqual([0xab, 0]);
  });

  it('gets boot_params', () => {
    const initrd = Buffer.alloc(5000, 0xcd);
    const { memory, zeroPage } = load(makeBzImage(), { initrd, cmdline: 'console=ttyS0' });
    expect(zeroPage.toString('latin1', 0x202, 0x206)).toBe('HdrS');
    expect(zeroPage[0x1f1]).toBe(2);
    expect(zeroPage[0x210]).toBe(0xff); // type_of_loader
    expect(zeroPage.readUInt32LE(0x260)).toBe(0x200000); // init_size, copied
    expect(zeroPage.readBigUInt64LE(0x070)).toBe(0xe0000n); // acpi_rsdp_addr
    expect(zeroPage.readUInt32LE(0x214)).toBe(0x1000000); // code32_start
    expect(zeroPage.readUInt32LE(0x218)).toBe(64 * MIB - 8192); // ramdisk_image
    expect(zeroPage.readUInt32LE(0x21c)).toBe(5000);
    expect(Buffer.from(memory.read(64 * MIB - 8192, 5000))).toEqual(initrd);
    expect(zeroPage.readUInt32LE(0x228)).toBe(0x20000); // cmd_line_ptr
    expect(Buffer.from(memory.read(0x20000, 14)).toString()).toBe('console=ttyS0\0');
    expect(zeroPage.subarray(0x26c, 0x2d0).every((byte) => byte === 0)).toBe(true);
  });

  it('gets the memory map as e820', () => {
    const { zeroPage } = load(makeBzImage(), { memory: 4096 * MIB });
    expect(zeroPage[0x1e8]).toBe(6);
    expect(zeroPage.toString('hex', 0x2d0, 0x2d0 + 20)).toBe('000000000000000000fc09000000000001000000');
    expect(zeroPage.toString('hex', 0x2d0 + 60, 0x2d0 + 80)).toBe('00001000000000000000f0bf0000000001000000');
    expect(zeroPage.toString('hex', 0x2d0 + 100, 0x2d0 + 120)).toBe('0000000001000000000000400000000001000000');
  });

  it('gets a GDT and 4 GiB of identity map', () => {
    const { memory } = load(makeBzImage());
    expect(Buffer.from(memory.read(0x500, 48)).toString('hex')).toBe(
      '0000000000000000' +
        'ffff0000009bcf00' +
        'ffff0000009baf00' +
        'ffff00000093cf00' +
        '67000000008b0000' +
        '0000000000000000',
    );
    const entry = (address: number): bigint => Buffer.from(memory.read(address, 8)).readBigUInt64LE();
    expect(entry(0x9000)).toBe(0xa003n);
    expect([0, 1, 2, 3, 4].map((i) => entry(0xa000 + 8 * i))).toEqual([0xb003n, 0xc003n, 0xd003n, 0xe003n, 0n]);
    expect([entry(0xb000), entry(0xb008), entry(0xeff8)]).toEqual([0x83n, 0x200083n, 0xffe00083n]);
  });

  it('keeps the initrd below the hole, and below initrd_addr_max', () => {
    const initrd = Buffer.alloc(1);
    expect(load(makeBzImage(), { initrd, memory: 5120 * MIB }).zeroPage.readUInt32LE(0x218)).toBe(0x7ffff000);
    const high = makeBzImage({ initrdAddrMax: 0xffffffff });
    expect(load(high, { initrd, memory: 5120 * MIB }).zeroPage.readUInt32LE(0x218)).toBe(0xbffff000);
  });

  it('tells how much memory is needed', () => {
    expect(problem(() => load(makeBzImage({ initSize: 0x3378000 })))).toEqual({
      code: 'BAD_KERNEL',
      message: '/k/bzImage needs 68 MiB for this kernel, the guest has 64 MiB: give it more memory',
    });
    expect(problem(() => load(makeBzImage(), { initrd: new Uint8Array(46 * MIB + 1) })).message).toBe(
      '/k/initrd needs 65 MiB for the kernel and this initrd, the guest has 64 MiB: give it more memory',
    );
  });

  it('refuses an initrd that the kernel cannot reach, or that is empty', () => {
    const kernel = makeBzImage({ initrdAddrMax: 0x12fffff });
    const found = problem(() => load(kernel, { initrd: new Uint8Array(2 * MIB) }));
    expect(found.message).toBe('/k/initrd has 2 MiB, the kernel leaves room for 1 MiB: use a smaller initrd');
    expect(problem(() => load(kernel, { initrd: new Uint8Array() })).message).toMatch('/k/initrd is empty');
  });

  it('refuses a command line that the kernel would cut', () => {
    const kernel = makeBzImage({ cmdlineSize: 20 });
    expect(load(kernel, { cmdline: 'x'.repeat(20) }).entry.protocol).toBe('linux64');
    expect(problem(() => load(kernel, { cmdline: 'x'.repeat(21) })).code).toBe('BAD_CONFIG');
    expect(problem(() => load(kernel, { cmdline: 'é'.repeat(11) })).message).toMatch(
      'has 22 bytes, this kernel takes 20',
    );
    expect(problem(() => load(kernel, { cmdline: 'a\0b' })).code).toBe('BAD_CONFIG');
    const greedy = makeBzImage({ cmdlineSize: 0xffffffff });
    expect(problem(() => load(greedy, { cmdline: 'x'.repeat(65536) })).code).toBe('BAD_CONFIG');
  });

  it('refuses a file cut anywhere', () => {
    const whole = makeBzImage();
    for (const length of [...Array(0x300).keys(), 0x5ff, 0x600, 0x601, whole.length - 1]) {
      const found = problem(() => load(whole.subarray(0, length)));
      expect(found.code).toBe('BAD_KERNEL');
      expect(found.message).toMatch(/^\/k\/bzImage is (empty|no kernel|a truncated bzImage)/);
    }
    expect(load(Buffer.concat([whole, Buffer.from('signature')])).entry.entryAddress).toBe(0x1000200);
  });

  it.each<[string, (file: Buffer) => void, RegExp]>([
    ['boot flag', (f) => f.writeUInt16LE(0, 0x1fe), /boot flag/],
    ['old protocol', (f) => f.writeUInt16LE(0x20b, 0x206), /boot protocol 2\.11; 2\.12 or later/],
    ['zImage', (f) => (f[0x211] = 0), /is a zImage/],
    ['32-bit kernel', (f) => f.writeUInt16LE(0, 0x236), /32-bit Linux kernel/],
    ['header beyond its place', (f) => (f[0x201] = 0x8f), /setup header ends at offset 0x291/],
    ['header too short', (f) => (f[0x201] = 0x61), /setup header ends at offset 0x263/],
    ['no jump', (f) => (f[0x200] = 0), /setup header/],
    ['lying size', (f) => f.writeUInt32LE(0xffffffff, 0x1f4), /truncated bzImage: its header tells of/],
    ['no payload', (f) => f.writeUInt32LE(0, 0x1f4), /holds no kernel/],
    ['load address below 1 MiB', (f) => f.writeBigUInt64LE(0x7000n, 0x258), /preferred load address/],
    ['load address off a page', (f) => f.writeBigUInt64LE(0x1000001n, 0x258), /preferred load address/],
    ['load address beyond 2^53', (f) => f.writeBigUInt64LE(2n ** 64n - 4096n, 0x258), /preferred load address/],
    ['load address in the hole', (f) => f.writeBigUInt64LE(0xbfff0000n, 0x258), /beyond 3 GiB/],
    ['init_size of 4 GiB', (f) => f.writeUInt32LE(0xffffffff, 0x260), /beyond 3 GiB/],
  ])('is refused for its %s', (_, damage, message) => {
    const file = makeBzImage();
    damage(file);
    const found = problem(() => load(file, { memory: 8192 * MIB }));
    expect(found.code).toBe('BAD_KERNEL');
    expect(found.message).toMatch(message);
    expect(found.message).not.toContain('\n');
  });

  it('survives any header', () => {
    const headerBytes = fc.uint8Array({ minLength: 0x7b, maxLength: 0x7b });
    fc.assert(
      fc.property(headerBytes, fc.boolean(), (bytes, keepMagic) => {
        const file = makeBzImage();
        file.set(bytes, 0x1f1);
        if (keepMagic) file.write('HdrS', 0x202);
        try {
          load(file);
        } catch (error) {
          expect(error).toBeInstanceOf(PostcopyError);
        }
      }),
    );
  });
});

describe('what is no kernel', () => {
  it.each([
    ['', /is empty: a Linux bzImage/],
    ['\x1f\x8b\x08', /is a gzip file/],
    ['070701000', /is an initramfs/],
    ['#!/bin/sh', /is a script/],
    ['hello', /is no kernel/],
  ])('is named: %j', (text, message) => {
    const found = problem(() => load(Buffer.from(text, 'latin1')));
    expect(found.code).toBe('BAD_KERNEL');
    expect(found.message).toMatch(message);
  });
});
