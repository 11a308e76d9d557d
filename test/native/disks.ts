/** Image files, disks and requests for tests of the addon's Disk. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { DISK_LOCK, DISK_SYNC, DISK_UNLOCK, native, type NativeDisk, type NativeMemory } from '../../src/native.js';
import { PATIENCE_MS } from './threads.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-disk-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

export function makeImage(content: Uint8Array): string {
  const path = join(makeDirectory(), 'disk.img');
  writeFileSync(path, content);
  return path;
}

export function openDisk(path: string, readonly = false): NativeDisk {
  const disk = new native.Disk(path, readonly);
  onTestFinished(() => void disk.close(PATIENCE_MS));
  return disk;
}

export function makeMemory(bytes = MIB): NativeMemory {
  const memory = new native.GuestMemory(bytes, 'anonymous');
  onTestFinished(() => memory.close());
  return memory;
}

/** Bytes that tell where they are. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = at * 7 + (at >> 8) * 13 + seed;
  return bytes;
}

export function readMemory(memory: NativeMemory, offset: number, length: number): Uint8Array {
  const into = new Uint8Array(length);
  memory.read(offset, into);
  return into;
}

export type Segments = [ramOffset: number, length: number][];

export function submit(
  disk: NativeDisk,
  id: number,
  kind: number,
  memory: NativeMemory,
  segments: Segments,
  offset: number,
  length = segments.reduce((sum, [, bytes]) => sum + bytes, 0),
): void {
  disk.submit(id, kind, memory, Float64Array.from(segments.flat()), segments.length, offset, length);
}

/** Everything that has ended once nothing is in flight: errno by id. */
export function finish(disk: NativeDisk): Map<number, number> {
  if (!disk.waitIdle(PATIENCE_MS)) throw new Error('requests are still in flight');
  const ended = new Map<number, number>();
  const into = new Int32Array(8);
  for (;;) {
    const count = disk.completions(into);
    if (count === 0) return ended;
    for (let i = 0; i < count; i++) ended.set(into[i * 2]!, into[i * 2 + 1]!);
  }
}

/** One request, waited for; its errno. */
export function run(
  disk: NativeDisk,
  kind: number,
  memory: NativeMemory,
  segments: Segments,
  offset: number,
  length?: number,
): number {
  submit(disk, 1, kind, memory, segments, offset, length);
  return finish(disk).get(1)!;
}

/** DISK_SYNC, DISK_DROP_CACHE, ..., waited for. */
export function call(disk: NativeDisk, what: number): void {
  if (!disk.ended(what, disk.begin(what), PATIENCE_MS)) throw new Error('the disk does not answer');
}

export function sync(disk: NativeDisk): void {
  call(disk, DISK_SYNC);
}

/** False if somebody else has it. */
export function lock(disk: NativeDisk): boolean {
  try {
    call(disk, DISK_LOCK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
    throw error;
  }
}

export function unlock(disk: NativeDisk): void {
  call(disk, DISK_UNLOCK);
}
