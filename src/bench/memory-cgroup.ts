/**
 * A memory cgroup around both ends of a migration: the kernel itself notes the most they ever held together, which no
 * sampling can miss: anonymous memory, page cache and kernel memory.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';
/** Bytes; a limit that is none. */
const NO_LIMIT = 2 ** 50;

export interface MemoryCgroup {
  readonly version: 1 | 2;
  /** A process joins by writing its number there. */
  readonly procsFile: string;
  /** Bytes charged now. */
  usage(): number;
  /** Begins to note the peak anew. */
  resetPeak(): void;
  /** Bytes charged at most since then. */
  peak(): number;
  /** Bytes of TCP buffers at most, where they are not in the peak (version 1). */
  tcpPeak(): number;
  /** After its processes have ended. */
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
  const controllers = (file: string) => readFileSync(join(V2, file), 'latin1').trim().split(' ');
  if (!controllers('cgroup.controllers').includes('memory')) return undefined;
  if (!controllers('cgroup.subtree_control').includes('memory')) {
    writeFileSync(join(V2, 'cgroup.subtree_control'), '+memory');
  }
  const cgroup = new CgroupV2(path);
  if (cgroup.hasPeak) return cgroup;
  cgroup.remove();
  return undefined;
}

class CgroupV1 implements MemoryCgroup {
  readonly version = 1;

  constructor(readonly path: string) {
    mkdirSync(path);
    // TCP buffers are counted only once there is a limit.
    this.#write('memory.kmem.tcp.limit_in_bytes', NO_LIMIT);
  }

  get procsFile(): string {
    return join(this.path, 'cgroup.procs');
  }

  usage(): number {
    return this.#read('memory.usage_in_bytes');
  }

  resetPeak(): void {
    this.#write('memory.max_usage_in_bytes', 0);
    this.#write('memory.kmem.tcp.max_usage_in_bytes', 0);
  }

  peak(): number {
    return this.#read('memory.max_usage_in_bytes');
  }

  tcpPeak(): number {
    return this.#read('memory.kmem.tcp.max_usage_in_bytes');
  }

  remove(): void {
    rmdirSync(this.path);
  }

  #read(file: string): number {
    return Number(readFileSync(join(this.path, file), 'latin1'));
  }

  #write(file: string, value: number): void {
    writeFileSync(join(this.path, file), String(value));
  }
}

class CgroupV2 implements MemoryCgroup {
  readonly version = 2;
  /** A reset holds only for reads through the descriptor that it was written to. */
  readonly #peakFd: number | undefined;

  constructor(readonly path: string) {
    mkdirSync(path);
    try {
      this.#peakFd = openSync(join(path, 'memory.peak'), 'r+');
    } catch {
      // Before Linux 6.12 it cannot be reset: it is then the peak of the cgroup's life, which ends with the migration.
    }
  }

  /** Since Linux 5.19. */
  get hasPeak(): boolean {
    return existsSync(join(this.path, 'memory.peak'));
  }

  get procsFile(): string {
    return join(this.path, 'cgroup.procs');
  }

  usage(): number {
    return Number(readFileSync(join(this.path, 'memory.current'), 'latin1'));
  }

  resetPeak(): void {
    if (this.#peakFd !== undefined) writeSync(this.#peakFd, 'reset\n');
  }

  peak(): number {
    if (this.#peakFd === undefined) return Number(readFileSync(join(this.path, 'memory.peak'), 'latin1'));
    const bytes = Buffer.alloc(32);
    return Number(bytes.toString('latin1', 0, readSync(this.#peakFd, bytes, 0, bytes.length, 0)));
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
