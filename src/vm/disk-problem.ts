/** What the operator is told of a guest that was stopped because its host has failed a disk. */
import type { DiskFailure } from '../devices/virtio/block/host-errors.js';
import type { Problem } from '../errors.js';

export function diskProblem(name: string, { id, error, kept }: DiskFailure): Problem {
  const request = kept
    ? 'the request that failed is kept, and done again when it goes on'
    : 'what failed is the writing back of its data, which it is told when it goes on';
  const text = `disk ${id}: ${error}. The guest of ${name} is stopped; ${request}. See to the storage, then resume it`;
  return { text, facts: [{ kind: 'disk-stopped', name }] };
}
