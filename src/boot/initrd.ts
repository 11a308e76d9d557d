import type { GuestMemory } from '../memory/guest-memory.js';
import { HOLE_START, lowMemoryEnd } from '../memory/layout.js';
import { mebibytesFor, pageAlignDown, pageAlignUp } from '../memory/page-size.js';
import { badKernel, requireMemory } from './boot-errors.js';
import type { BootFiles } from './boot-entry.js';

/** Where an initrd was put; both 0 if there is none. */
export interface InitrdPlace {
  address: number;
  bytes: number;
}

const NO_INITRD: InitrdPlace = { address: 0, bytes: 0 };

/**
 * Finds the place of the initrd: as high as possible, on a page of its own, below both the hole and `limit` (exclusive),
 * above the kernel. Throws BAD_KERNEL if there is none.
 */
export function placeInitrd(files: BootFiles, memoryBytes: number, kernelEnd: number, limit: number): InitrdPlace {
  if (files.initrd === undefined) return NO_INITRD;
  const path = files.initrdPath ?? 'the initrd';
  const bytes = files.initrd.length;
  if (bytes === 0) throw badKernel(path, 'is empty: give an initrd image, or none');
  const lowest = pageAlignUp(kernelEnd);
  const needed = lowest + pageAlignUp(bytes);
  if (needed > Math.min(limit, HOLE_START)) {
    const most = mebibytesFor(Math.max(0, Math.min(limit, HOLE_START) - lowest));
    throw badKernel(
      path,
      `has ${mebibytesFor(bytes)} MiB, the kernel leaves room for ${most} MiB: use a smaller initrd`,
    );
  }
  requireMemory(path, needed, memoryBytes, 'the kernel and this initrd');
  const address = pageAlignDown(Math.min(limit, lowMemoryEnd(memoryBytes)) - bytes);
  return { address, bytes };
}

/** Copies the initrd, if there is one, to its place. */
export function writeInitrd(memory: GuestMemory, files: BootFiles, place: InitrdPlace): void {
  if (files.initrd !== undefined) memory.write(place.address, files.initrd);
}
