/** CPU time of a process, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: what /proc counts in, on every x86 kernel. */
const MS_PER_TICK = 10;

export interface CpuTime {
  /** The process, threads that have ended included. */
  totalMs: number;
  /** Its vCPU threads alone. */
  vcpuMs: number;
}

/** Undefined once the process has gone. */
export function cpuTime(pid: number, vcpuThread: RegExp): CpuTime | undefined {
  try {
    const totalMs = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1')).cpuMs;
    let vcpuMs = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const { name, cpuMs } = parseStat(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
      if (vcpuThread.test(name)) vcpuMs += cpuMs;
    }
    return { totalMs, vcpuMs };
  } catch {
    return undefined;
  }
}

/** proc(5): the name stands in parentheses and may hold some itself; utime and stime are fields 14 and 15. */
export function parseStat(text: string): { name: string; cpuMs: number } {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  return { name: text.slice(open + 1, close), cpuMs: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK };
}
