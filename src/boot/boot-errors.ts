import { PostcopyError } from '../errors.js';
import { HOLE_START, lowMemoryEnd } from '../memory/layout.js';
import { mebibytesFor, MIB } from '../memory/page-size.js';

/** BAD_KERNEL, naming the file. */
export function badKernel(path: string, why: string): PostcopyError {
  return new PostcopyError('BAD_KERNEL', `${path} ${why}`);
}

/**
 * Checks that the RAM below the hole reaches up to `end`; what is loaded at boot has to be there.
 * `needed` says what it is for, as in "this kernel".
 */
export function requireMemory(path: string, end: number, memoryBytes: number, needed: string): void {
  if (end > HOLE_START) {
    throw badKernel(path, `cannot be loaded: ${needed} would reach beyond 3 GiB, where the space for devices begins`);
  }
  if (end > lowMemoryEnd(memoryBytes)) {
    const has = Math.floor(memoryBytes / MIB);
    throw badKernel(
      path,
      `needs ${mebibytesFor(end)} MiB for ${needed}, the guest has ${has} MiB: give it more memory`,
    );
  }
}
