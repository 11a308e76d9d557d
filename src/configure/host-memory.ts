import { formatSize } from '../basics/size.js';
import { PostcopyError } from '../errors.js';
import { availableBytes } from '../memory/meminfo.js';

/** HOST_LACKS if guest RAM of this size is more than the host can give without swapping. */
export function requireHostMemory(memoryBytes: number, meminfo?: string): void {
  const available = availableBytes(meminfo);
  if (available === undefined || memoryBytes <= available) return;
  throw new PostcopyError(
    'HOST_LACKS',
    `the guest's ${formatSize(memoryBytes)} of memory do not fit this host, which has ${formatSize(available)} ` +
      'available: free some, or give the guest less',
    undefined,
    [{ kind: 'memory-short' }],
  );
}
