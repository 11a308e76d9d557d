/**
 * A memory cgroup around both ends of a migration: the kernel itself notes the most they ever held together, which no
 * sampling can miss. Version 1 and 2; without the controller there is none, and who measures samples instead.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';

export interface MemoryUsage {
  /** Bytes charged: anonymous memory, page cache, kernel memory. */
  totalBytes: number;
  /** Of these: page cache, which is the same file for both ends and no cost of a migration. */
  cacheBytes: number;
}

export interface MemoryCgroup {
  readonly version: 1 | 2;
  readonly procsFile: string;
  usage(): MemoryUsage;
  /** Begins to note the peak anew. */
  resetPeak(): void;
  /** Bytes charged at most since then. */
  peak(): number;
  /** Bytes of TCP buffers at most, where they are not in the peak (version 1). */
  tcpPeak(): number;
  remove(): void;
}

/** Undefined where there is no memory controller that can note a peak. */
export function createMemoryCgroup(name: string): MemoryCgroup | undefined {
  try {
    if (existsSync(join(V1, 'memory.max_usage_in_bytes'))) return new CgroupV1(join(V1, name));
    if (existsSync(join(V2, 'cgroup.controllers'))) return createV2(join(V2, name));
  } catch {
    // read-only, or not ours: as if there were none
  }
  return undefined;
}

function createV2(path: string): MemoryCgroup | undefined {
  if (!read(V2, 'cgroup.controllers').includes('memory')) return undefined;
  if (!read(V2, 'cgroup.subtree_control').includes('memory')) {
    writeFileSync(join(V2, 'cgroup.subtree_control'), '+memory');
  }
  const cgroup = new CgroupV2(path);
  if (cgroup.notesPeak) return cgroup;
  cgroup.remove();
  return undefined;
}

class CgroupV1 implements MemoryCgroup {
  readonly version = 1;

  constructor(readonly path: string) {
    mkdirSync(path);
    // TCP buffers are counted only once there is a limit.
    writeFileSync(join(path, 'memory.kmem.tcp.limit_in_bytes'), String(2 ** 50));
  }

  get procsFile(): string {
    return join(this.path, 'cgroup.procs');
  }

  usage(): MemoryUsage {
    const totalBytes = Number(read(this.path, 'memory.usage_in_bytes'));
    return { totalBytes, cacheBytes: statField(read(this.path, 'memory.stat'), 'cache') };
  }

  resetPeak(): void {
    writeFileSync(join(this.path, 'memory.max_usage_in_bytes'), '0');
    writeFileSync(join(this.path, 'memory.kmem.tcp.max_usage_in_bytes'), '0');
  }

  peak(): number {
    return Number(read(this.path, 'memory.max_usage_in_bytes'));
  }

  tcpPeak(): number {
    return Number(read(this.path, 'memory.kmem.tcp.max_usage_in_bytes'));
  }

  remove(): void {
    rmdirSync(this.path);
  }
}

class CgroupV2 implements MemoryCgroup {
  readonly version = 2;
  /** A reset holds only for reads through the descriptor that it was written to (Linux 6.12). */
  #peakFd: number | undefined;

  constructor(readonly path: string) {
    mkdirSync(path);
    try {
      this.#peakFd = openSync(join(path, 'memory.peak'), 'r+');
    } catch {
      // before Linux 6.12 it is read-only and cannot be reset
    }
  }

  get notesPeak(): boolean {
    return this.#peakFd !== undefined;
  }

  get procsFile(): string {
    return join(this.path, 'cgroup.procs');
  }

  usage(): MemoryUsage {
    const totalBytes = Number(read(this.path, 'memory.current'));
    return { totalBytes, cacheBytes: statField(read(this.path, 'memory.stat'), 'file') };
  }

  resetPeak(): void {
    writeSync(this.#peakFd!, 'reset\n');
  }

  peak(): number {
    return Number(readFileSync(`/proc/self/fd/${this.#peakFd!}`, 'latin1'));
  }

  /** In the peak already. */
  tcpPeak(): number {
    return 0;
  }

  remove(): void {
    if (this.#peakFd !== undefined) closeSync(this.#peakFd);
    rmdirSync(this.path);
  }
}

export function statField(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

function read(directory: string, file: string): string {
  return readFileSync(join(directory, file), 'latin1');
}
