/** The most that both ends of a migration ever held together: by the kernel where it can, by samples where it cannot. */
import { readFileSync } from 'node:fs';
import { createMemoryCgroup, type MemoryCgroup } from './memory-cgroup.js';

const SAMPLE_INTERVAL_MS = 5;

export interface MemoryPeak {
  beforeBytes: number;
  peakBytes: number;
  /** The size of TCP buffers, where they are not in the peak already. */
  tcpPeakBytes: number;
}

export interface MemoryMeter {
  start(): void;
  stop(): MemoryPeak;
}

export function memoryMeter(cgroup: MemoryCgroup | undefined, pids: number[]): MemoryMeter {
  return cgroup === undefined ? new SampledMeter(pids) : new CgroupMeter(cgroup);
}

/** What memoryMeter() will be on this host. */
export function memoryMeterKind(): 'cgroup-v1' | 'cgroup-v2' | 'samples' {
  const cgroup = createMemoryCgroup(`postcopy-bench-probe-${process.pid}`);
  cgroup?.remove();
  return cgroup === undefined ? 'samples' : `cgroup-v${cgroup.version}`;
}

class CgroupMeter implements MemoryMeter {
  #beforeBytes = 0;

  constructor(readonly cgroup: MemoryCgroup) {}

  start(): void {
    this.#beforeBytes = this.cgroup.usage();
    this.cgroup.resetPeak();
  }

  stop(): MemoryPeak {
    return { beforeBytes: this.#beforeBytes, peakBytes: this.cgroup.peak(), tcpPeakBytes: this.cgroup.tcpPeak() };
  }
}

/** The figure lacks what the kernel holds for the processes, and what came and went between two samples. */
class SampledMeter implements MemoryMeter {
  #beforeBytes = 0;
  #peakBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly pids: number[]) {}

  start(): void {
    this.#beforeBytes = this.#peakBytes = this.#sample();
    this.#timer = setInterval(() => (this.#peakBytes = Math.max(this.#peakBytes, this.#sample())), SAMPLE_INTERVAL_MS);
  }

  stop(): MemoryPeak {
    clearInterval(this.#timer);
    return { beforeBytes: this.#beforeBytes, peakBytes: this.#peakBytes, tcpPeakBytes: 0 };
  }

  #sample(): number {
    return this.pids.reduce((sum, pid) => sum + residentBytes(pid), 0);
  }
}

function residentBytes(pid: number): number {
  try {
    return parseResident(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return 0; // it has ended
  }
}

/** proc(5): RssAnon and RssShmem of a process's status. */
export function parseResident(status: string): number {
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return (kilobytes('RssAnon') + kilobytes('RssShmem')) * 1024;
}
