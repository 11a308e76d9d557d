import { describe, expect, it } from 'vitest';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { FakeRam } from './fake-ram.js';

const GIB = 0x40000000;

describe('GuestMemory', () => {
  it('reads and writes at guest addresses above 4 GiB', () => {
    const ram = new FakeRam(4 * GIB);
    const memory = new GuestMemory(ram);
    memory.write(0x100000ffe, Uint8Array.of(1, 2, 3, 4));
    expect([...memory.read(0x100000ffd, 6)]).toEqual([0, 1, 2, 3, 4, 0]);
    const atOffset = new Uint8Array(4);
    ram.read(0xc0000ffe, atOffset);
    expect([...atOffset]).toEqual([1, 2, 3, 4]);
    expect(memory.bytes).toBe(4 * GIB);
  });

  it('refuses what is not all RAM', () => {
    const memory = new GuestMemory(new FakeRam(0x10000));
    expect(() => memory.read(0xffff, 2)).toThrow(RangeError);
    expect(() => memory.write(0xffff, new Uint8Array(2))).toThrow(RangeError);
    expect([...memory.read(0xffff, 1)]).toEqual([0]);
  });
});
