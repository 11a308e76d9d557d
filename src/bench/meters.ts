/** What the host measures of a migration from the command to its completion. */
import { cpuTime, type CpuTime } from './cpu-time.js';
import type { MemoryCgroup } from './memory-cgroup.js';
import { memoryMeter, type MemoryMeter, type MemoryPeak } from './memory-meter.js';
import { interfaceBytes, type InterfaceBytes } from './link/namespace.js';
import type { Pair } from './system.js';

/** A process that ends with the migration cannot be asked afterwards: its CPU time is noted meanwhile as well. */
const SAMPLE_INTERVAL_MS = 50;

export interface Cost {
  cpu: CpuTime;
  wire: InterfaceBytes;
  memory: MemoryPeak;
}

export class Meters {
  readonly #pair: Pair;
  readonly #interface: string;
  readonly #memory: MemoryMeter;
  readonly #wireBefore: InterfaceBytes[];
  readonly #cpuBefore: CpuTime[];
  readonly #cpuLast: CpuTime[];
  readonly #sampler: NodeJS.Timeout;

  constructor(pair: Pair, interfaceName: string, cgroup: MemoryCgroup | undefined) {
    this.#pair = pair;
    this.#interface = interfaceName;
    this.#memory = memoryMeter(cgroup, [pair.sourcePid, pair.destinationPid]);
    this.#cpuBefore = this.#processes().map(([pid]) => cpuTime(pid, pair.vcpuThread)!);
    this.#cpuLast = [...this.#cpuBefore];
    this.#sampler = setInterval(() => this.#sampleCpu(), SAMPLE_INTERVAL_MS);
    this.#wireBefore = this.#processes().map(([pid]) => interfaceBytes(pid, interfaceName));
    this.#memory.start();
  }

  /** Ends what would keep the process alive; stop() may follow. */
  pause(): void {
    clearInterval(this.#sampler);
  }

  stop(): Cost {
    this.pause();
    const memory = this.#memory.stop();
    this.#sampleCpu();
    return { cpu: this.#cpu(), wire: this.#wire(), memory };
  }

  /** At the destination; if the guest stayed and the destination has ended, as a QEMU does, at the source. */
  #wire(): InterfaceBytes {
    const passed = (pid: number, before: InterfaceBytes) => {
      const now = interfaceBytes(pid, this.#interface);
      return { received: now.received - before.received, sent: now.sent - before.sent };
    };
    const [source, destination] = this.#wireBefore as [InterfaceBytes, InterfaceBytes];
    try {
      return passed(this.#pair.destinationPid, destination);
    } catch {
      return passed(this.#pair.sourcePid, source);
    }
  }

  #processes(): [pid: number, index: number][] {
    return [
      [this.#pair.sourcePid, 0],
      [this.#pair.destinationPid, 1],
    ];
  }

  #sampleCpu(): void {
    for (const [pid, index] of this.#processes()) {
      const now = cpuTime(pid, this.#pair.vcpuThread);
      if (now === undefined) continue;
      const last = this.#cpuLast[index]!;
      // vCPU threads end before their process does; what they had is still in the total.
      this.#cpuLast[index] = { totalMs: now.totalMs, vcpuMs: Math.max(now.vcpuMs, last.vcpuMs) };
    }
  }

  #cpu(): CpuTime {
    const sum = (of: (time: CpuTime) => number) =>
      this.#cpuLast.reduce((total, last, i) => total + of(last) - of(this.#cpuBefore[i]!), 0);
    return { totalMs: sum((time) => time.totalMs), vcpuMs: sum((time) => time.vcpuMs) };
  }
}
