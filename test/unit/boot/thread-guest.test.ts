import { describe, expect, it } from 'vitest';
import { isElf, readEntryAddress } from '../../../src/boot/elf.js';
import { loadThreadGuest } from '../../../src/boot/thread-guest.js';
import { PostcopyError } from '../../../src/errors.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { GUEST_BASE } from '../../../src/memory/layout.js';
import { FakeRam } from '../memory/fake-ram.js';
import { makeBzImage, makeElf, MIB } from './images.js';

const BYTES = 64 * MIB;
const ENTRY = GUEST_BASE + MIB + 2;

function load(kernel: Uint8Array) {
  const memory = new GuestMemory(new FakeRam(BYTES));
  const entry = loadThreadGuest(memory, { kernel, kernelPath: '/k/guest.elf', cmdline: 'tsc_khz=5' }, 0xe0000);
  return { memory, entry };
}

function refusal(kernel: Uint8Array): string {
  try {
    load(kernel);
  } catch (error) {
    expect(error).toBeInstanceOf(PostcopyError);
    expect(error).toHaveProperty('code', 'BAD_KERNEL');
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('readEntryAddress', () => {
  it.each([true, false])('is e_entry (64-bit: %s)', (wide) => {
    expect(readEntryAddress(makeElf({ wide, linearEntry: 0x1234_5678 }))).toBe(0x1234_5678);
  });

  it('has all 64 bits', () => expect(readEntryAddress(makeElf({ linearEntry: ENTRY }))).toBe(ENTRY));

  it.each([true, false])('is 0 for a header that is cut anywhere (64-bit: %s)', (wide) => {
    const whole = makeElf({ wide, linearEntry: 0x1234_5678 });
    for (let length = 4; length < (wide ? 64 : 52); length++) {
      expect(isElf(whole.subarray(0, length))).toBe(true);
      expect(readEntryAddress(whole.subarray(0, length))).toBe(0);
    }
  });

  it('is 0 for a class that there is not', () => {
    const file = makeElf({ linearEntry: ENTRY });
    file[4] = 3;
    expect(readEntryAddress(file)).toBe(0);
  });
});

describe('loadThreadGuest', () => {
  it('puts a guest that is linked for GUEST_BASE where PVH does, and enters it at its linear entry', () => {
    const { memory, entry } = load(makeElf({ linearEntry: ENTRY }));
    expect(entry).toEqual({ entryAddress: ENTRY, bootInfoAddress: 0x6000 });
    expect(Buffer.from(memory.read(MIB, 6)).toString()).toBe('kernel');
    expect(Buffer.from(memory.read(0x20000, 10)).toString()).toBe('tsc_khz=5\0');
  });

  it('tells it of RAM without a hole', () => {
    const { memory } = load(makeElf({ linearEntry: ENTRY }));
    const info = Buffer.from(memory.read(0x6000, 56));
    expect([info.readUInt32LE(0), info.readBigUInt64LE(32), info.readUInt32LE(48)]).toEqual([0x336ec578, 0xe0000n, 4]);
    const map = Buffer.from(memory.read(0x6100, 4 * 24));
    const entries = [0, 24, 48, 72].map((at) => [
      map.readBigUInt64LE(at),
      map.readBigUInt64LE(at + 8),
      map.readUInt32LE(at + 16),
    ]);
    expect(entries).toEqual([
      [0n, 0x9fc00n, 1],
      [0x9fc00n, 0x40400n, 2],
      [0xe0000n, 0x20000n, 3],
      [0x100000n, 0x3f00000n, 1],
    ]);
  });

  it.each<[string, Uint8Array]>([
    ['a bzImage', makeBzImage()],
    ['an ELF file that is for PVH alone', makeElf()],
    ['an ELF file of 32 bits', makeElf({ wide: false, linearEntry: MIB })],
    ['one linked for an address below', makeElf({ linearEntry: GUEST_BASE - 1 })],
    ['one whose entry is behind its RAM', makeElf({ linearEntry: GUEST_BASE + BYTES })],
    ['what is no kernel', Buffer.from('#!/bin/sh')],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s, and says what can run', (_, kernel) => {
    expect(refusal(kernel)).toMatch(
      /^\/k\/guest\.elf cannot run as threads: only postcopy's own guest can .* need a machine of KVM$/,
    );
  });

  it('refuses one without a PVH note, and one that is cut anywhere', () => {
    expect(refusal(makeElf({ linearEntry: ENTRY, note: Buffer.alloc(0) }))).toMatch(/without a PVH entry point/);
    const whole = makeElf({ linearEntry: ENTRY });
    for (let length = 0; length < whole.length; length++) refusal(whole.subarray(0, length));
  });
});
