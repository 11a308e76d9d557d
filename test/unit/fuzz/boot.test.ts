import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadKernel } from '../../../src/boot/load-kernel.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { makeBzImage, makeElf, MIB } from '../boot/images.js';
import { FakeRam } from '../memory/fake-ram.js';
import { fuzz, FUZZ_TIMEOUT_MS, mutations, onlyPostcopyError } from './fuzz.js';

const RSDP = 0xe0000;

function load(kernel: Uint8Array, cmdline: string, initrd: Uint8Array | undefined): void {
  const memory = new GuestMemory(new FakeRam(64 * MIB));
  const files = { kernel, kernelPath: 'k', cmdline, ...(initrd === undefined ? {} : { initrd, initrdPath: 'i' }) };
  const entry = onlyPostcopyError(() => loadKernel(memory, files, RSDP));
  if (entry === undefined) return;
  expect(entry.entryAddress).toBeGreaterThanOrEqual(MIB);
  expect(entry.entryAddress).toBeLessThan(64 * MIB);
  memory.read(entry.bootInfoAddress, 56);
}

describe('boot files are loaded or refused', () => {
  it.each([
    ['bzImage', makeBzImage({ initSize: 0x10000, prefAddress: MIB })],
    [
      '64-bit PVH',
      makeElf({ segments: [MIB, 2 * MIB].map((paddr) => ({ paddr, bytes: Buffer.from('code'), memsz: 99 })) }),
    ],
    ['32-bit PVH', makeElf({ wide: false })],
  ])(
    '%s',
    (_, image) => {
      const initrd = fc.option(fc.uint8Array({ maxLength: 64 }), { nil: undefined });
      fuzz(fc.property(mutations(image), fc.string({ maxLength: 16 }), initrd, load));
    },
    FUZZ_TIMEOUT_MS,
  );
});
