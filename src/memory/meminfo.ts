import { readFileSync } from 'node:fs';

/** What this host says of its memory (proc(5)). */
export const MEMINFO = '/proc/meminfo';

/** Bytes of a line such as `MemAvailable:   123 kB`; undefined if it is not there. */
export function meminfoBytes(meminfo: string, field: string): number | undefined {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(meminfo);
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** What a guest can be given without swapping; undefined where the host does not say. */
export function availableBytes(meminfo: string = readFileSync(MEMINFO, 'utf8')): number | undefined {
  return meminfoBytes(meminfo, 'MemAvailable');
}
