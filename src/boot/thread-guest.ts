/** Puts postcopy's own guest into the RAM of a machine of threads, which it enters in ring 3. */
import { PostcopyError } from '../errors.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { flatMemoryMap, GUEST_BASE } from '../memory/layout.js';
import type { BootFiles } from './boot-entry.js';
import { isElf, readEntryAddress } from './elf.js';
import { loadPvh } from './pvh.js';

export interface ThreadEntry {
  /** Linear address of the first instruction. */
  entryAddress: number;
  /** Guest-physical address of hvm_start_info. */
  bootInfoAddress: number;
}

/** Throws BAD_KERNEL for anything but a guest that is linked for GUEST_BASE. */
export function loadThreadGuest(memory: GuestMemory, files: BootFiles, rsdpAddress: number): ThreadEntry {
  const entryAddress = isElf(files.kernel) ? readEntryAddress(files.kernel) : 0;
  if (entryAddress < GUEST_BASE || entryAddress >= GUEST_BASE + memory.bytes) {
    throw new PostcopyError(
      'BAD_KERNEL',
      `${files.kernelPath} cannot run as threads: only postcopy's own guest can (guest.elf); other kernels need a machine of KVM`,
      undefined,
      [{ kind: 'kernel-for-kvm' }],
    );
  }
  const { bootInfoAddress } = loadPvh(memory, files, rsdpAddress, flatMemoryMap(memory.bytes));
  return { entryAddress, bootInfoAddress };
}
