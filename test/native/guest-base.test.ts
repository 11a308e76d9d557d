/** GUEST_BASE stands in TypeScript, in the addon and in the guest; each must mean the same address. */
import { readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { loadThreadGuest } from '../../src/boot/thread-guest.js';
import { GuestMemory } from '../../src/memory/guest-memory.js';
import { GUEST_BASE, HIGH_MEMORY_START } from '../../src/memory/layout.js';
import { MIB } from '../../src/memory/page-size.js';
import { native } from '../../src/native.js';
import { guestBinary } from '../../src/trial/guest-binary.js';

it('is where the addon maps the RAM of a machine of threads, and what its guest is linked for', () => {
  const bytes = 64 * MIB;
  const memory = new native.GuestMemory(bytes, 'threads');
  onTestFinished(() => memory.close());
  const mapped = `${GUEST_BASE.toString(16)}-${(GUEST_BASE + bytes).toString(16)} rwxp`;
  expect(readFileSync('/proc/self/maps', 'utf8')).toContain(mapped);

  const files = { kernel: readFileSync(guestBinary()), kernelPath: guestBinary(), cmdline: '' };
  const { entryAddress } = loadThreadGuest(new GuestMemory(memory), files, 0);
  expect(entryAddress).toBeGreaterThanOrEqual(GUEST_BASE + HIGH_MEMORY_START);
  expect(entryAddress).toBeLessThan(GUEST_BASE + HIGH_MEMORY_START + MIB);
});
