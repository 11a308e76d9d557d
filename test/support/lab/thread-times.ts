import type { LabHost } from './host.js';

/** CPU time in seconds, by who used it: threads of the VMM by name and kind, and what the host's CPUs did besides. */
export type CpuTimes = Map<string, number>;

const TICKS_PER_SECOND = 100; // USER_HZ
const KERNEL = 'host, rest of it';
const IDLE = 'idle';

/** The process in a host that has a VM open. */
export async function vmmPid(host: LabHost): Promise<number> {
  const found = await host.run(
    'for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q anon_inode:kvm-vm && echo ${p#/proc/}; done; true',
  );
  const pids = found.split('\n').filter((line) => line !== '');
  if (pids.length !== 1) throw new Error(`${pids.length} processes of ${host.name} have a VM open`);
  return Number(pids[0]);
}

/** What each thread of a process has used since it began, user and system apart, and the rest of the host's CPUs. */
export async function cpuTimes(host: LabHost, pid: number): Promise<CpuTimes> {
  const text = await host.run(`head -n 1 /proc/stat; cat /proc/${pid}/task/*/stat`);
  const times: CpuTimes = new Map();
  let ours = 0;
  const add = (name: string, ticks: number) => {
    times.set(name, (times.get(name) ?? 0) + ticks / TICKS_PER_SECOND);
    ours += ticks;
  };
  for (const line of text.split('\n')) {
    const [, name, rest] = /^\d+ \((.*)\) (.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) continue;
    const fields = rest.split(' ').map(Number); // proc_pid_stat(5), from its third
    add(`${name}, user`, fields[11] ?? NaN);
    add(`${name}, system`, fields[12] ?? NaN);
  }
  // user nice system idle iowait irq softirq steal; a guest's time is in user
  const host_ = /^cpu +(.*)$/m.exec(text)?.[1]?.split(' ').map(Number) ?? [];
  const [user = NaN, nice = NaN, system = NaN, idle = NaN, iowait = NaN, irq = NaN, softirq = NaN] = host_;
  times.set(KERNEL, (user + nice + system + irq + softirq - ours) / TICKS_PER_SECOND);
  times.set(IDLE, (idle + iowait) / TICKS_PER_SECOND);
  return times;
}

/** Shares of the time between two readings, the largest first, in percent of all CPUs; those below one are left out. */
export function shares(before: CpuTimes, after: CpuTimes): [string, number][] {
  const used = [...after].map(([name, seconds]) => [name, seconds - (before.get(name) ?? 0)] as const);
  const total = used.reduce((sum, [, seconds]) => sum + seconds, 0);
  return used
    .map(([name, seconds]): [string, number] => [name, Math.round((100 * seconds) / total)])
    .filter(([, share]) => share >= 1)
    .sort(([, a], [, b]) => b - a);
}
