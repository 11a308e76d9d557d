/**
 * Proof that both hosts see one disk in one state: the source reads some of its blocks when the guest has stopped, and the
 * destination finds the same in them when it has the lock and has dropped its cache. They are blocks at random that hold
 * data, chosen and read once while the guest still runs, and those that the guest wrote last, which a copy does not have,
 * nor a cache that is stale.
 */
import { createHash, randomInt } from 'node:crypto';
import type { Deadline } from '../basics/deadline.js';
import {
  DISK_CHOOSE_SAMPLE,
  DISK_READ_SAMPLE,
  DISK_SAMPLE_BLOCK,
  DISK_TAKE_SAMPLE,
  type NativeDisk,
} from '../native.js';
import { callDisk } from './disk-lock.js';

/** As STATE tells of it. */
export interface DiskSample {
  /** Of the disk. */
  id: string;
  /** Where its blocks begin. */
  offsets: number[];
  /** SHA-256 of the blocks, one behind the other. */
  hash: Uint8Array;
}

/** Of all disks of a VM together; each has the least. */
const BLOCKS = 32;
const BLOCKS_MIN = 4;
/** More than the random ones and the last writes of one disk are. */
export const SAMPLE_BLOCKS_MAX = 64;

/** Chooses the blocks for takeSample(). `bytes`: of the disk; `disks`: that the VM has. Throws as callDisk(). */
export async function chooseSample(disk: NativeDisk, bytes: number, disks: number, until: Deadline): Promise<void> {
  const count = Math.floor(bytes / DISK_SAMPLE_BLOCK);
  const wanted = Math.max(BLOCKS_MIN, Math.floor(BLOCKS / disks));
  // The first has the partition table, or what a file system says of itself.
  const blocks = Array.from({ length: wanted }, (_, i) => (i === 0 ? 0 : randomInt(Math.max(1, count))));
  disk.sampleAt(
    Float64Array.from(count === 0 ? [] : blocks, (block) => block * DISK_SAMPLE_BLOCK),
    bytes,
  );
  await callDisk(disk, DISK_CHOOSE_SAMPLE, until);
}

/** Of a disk that nobody writes to. Throws as callDisk(). */
export async function takeSample(id: string, disk: NativeDisk, until: Deadline): Promise<DiskSample> {
  await callDisk(disk, DISK_TAKE_SAMPLE, until);
  return { id, offsets: [...disk.sampleOffsets()], hash: hashOf(disk) };
}

/** Whether the disk has the same there, which it has not if they lie outside of it. Throws as callDisk(). */
export async function hasSample(
  disk: NativeDisk,
  bytes: number,
  sample: DiskSample,
  until: Deadline,
): Promise<boolean> {
  const fits = (offset: number): boolean => offset % DISK_SAMPLE_BLOCK === 0 && offset + DISK_SAMPLE_BLOCK <= bytes;
  if (!sample.offsets.every(fits)) return false;
  disk.sampleAt(Float64Array.from(sample.offsets), bytes);
  await callDisk(disk, DISK_READ_SAMPLE, until);
  return Buffer.compare(hashOf(disk), sample.hash) === 0;
}

function hashOf(disk: NativeDisk): Uint8Array {
  return new Uint8Array(createHash('sha256').update(disk.sampleContent()).digest());
}
