/** What a VM that boots here can never have. It is told before the addon is loaded. */
import { formatSize } from '../basics/size.js';
import { PostcopyError } from '../errors.js';
import { memoryRooms, type ReadText } from './memory-rooms.js';

/** HOST_LACKS if guest RAM of this size is more than this host, or the cgroup of this process, can ever give. */
export function requireHostMemory(memoryBytes: number, read?: ReadText): void {
  for (const { where, cgroup, limit, available } of memoryRooms(read)) {
    const most = cgroup === undefined ? available : limit!;
    if (memoryBytes <= most) continue;
    const has =
      cgroup === undefined
        ? `${where}, which has ${formatSize(most)} available`
        : `the limit of ${where}, ${formatSize(most)}`;
    throw new PostcopyError(
      'HOST_LACKS',
      `the guest's ${formatSize(memoryBytes)} of memory do not fit ${has}: free some, or give the guest less`,
      undefined,
      [{ kind: 'memory-short' }],
    );
  }
}
