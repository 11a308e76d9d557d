/** A host without KVM: each command that makes a VM says so. */
import { test } from 'vitest';
import { guestBinary } from '../../src/trial/guest-binary.js';
import { useCleanRoom } from '../support/clean-room.js';
import { after, fails } from '../support/refusals.js';

useCleanRoom();

const EXIT_HOST_LACKS = 3;
const NO_KVM = /no \/dev\/kvm that can be used .*See `postcopy doctor`/;

test.each([
  ['missing', 'mount -t tmpfs none /dev'],
  ['no KVM', 'mount --bind /dev/null /dev/kvm'],
])('/dev/kvm: %s', async (_, script) => {
  const within = after(script);
  for (const words of [
    ['run', '--name', 'vm', '--kernel', guestBinary(), '--memory', '64M', '--cpus', '1', '--serial', 'null'],
    ['receive', '--name', 'vm', '--serial', 'null', '--listen', '127.0.0.1:0'],
    ['demo'],
  ]) {
    await fails(words, EXIT_HOST_LACKS, NO_KVM, { within });
  }
});
