/** Files that KVM cannot boot: one clear line, and nothing left behind. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished, test } from 'vitest';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { useCleanRoom } from '../support/clean-room.js';
import { fails } from '../support/refusals.js';

const room = useCleanRoom();

const EXIT_BAD_KERNEL = 4;
const guest = () => readFileSync(guestBinary());

test.each([
  ['text', () => 'this is no kernel\n', /is no kernel/],
  ['an empty file', () => '', /is empty/],
  ['an ELF file that ends in its header', () => guest().subarray(0, 40), /is a damaged ELF file/],
  [
    'an ELF file that ends in its program headers',
    () => guest().subarray(0, 100),
    /is a truncated or damaged ELF file/,
  ],
  ['an ELF file that ends in its code', () => guest().subarray(0, 8192), /is a truncated ELF file/],
])('a kernel that is none: %s', async (_, content, why) => {
  const kernel = join(room, 'kernel');
  writeFileSync(kernel, content());
  onTestFinished(() => rmSync(kernel));
  const words = ['--name', 'vm', '--memory', '64M', '--cpus', '1', '--serial', 'null', '--kernel', kernel];
  await fails(['run', ...words], EXIT_BAD_KERNEL, why);
});
