import { readFileSync } from 'node:fs';
import { PostcopyError } from '../errors.js';
import { formatSize } from '../basics/size.js';

const MEMINFO = '/proc/meminfo';

/** Bytes of a line of /proc/meminfo such as `MemAvailable:   123 kB` (proc(5)); undefined if it is not there. */
export function meminfoBytes(meminfo: string, field: string): number | undefined {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(meminfo);
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** HOST_LACKS if guest RAM of this size is more than the host can give without swapping. */
export function requireHostMemory(memoryBytes: number, meminfo: string = readFileSync(MEMINFO, 'utf8')): void {
  const available = meminfoBytes(meminfo, 'MemAvailable');
  if (available === undefined || memoryBytes <= available) return;
  throw new PostcopyError(
    'HOST_LACKS',
    `the guest's ${formatSize(memoryBytes)} of memory do not fit this host, which has ${formatSize(available)} ` +
      'available: free some, or give the guest less (--memory)',
  );
}
