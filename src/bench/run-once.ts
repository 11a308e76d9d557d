/** One run from nothing to nothing: both ends are started, measured and gone again, however it ends. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Link } from './link/link.js';
import { measure } from './measure.js';
import { createMemoryCgroup, type MemoryCgroup } from './memory-cgroup.js';
import type { RunResult, Workload } from './result.js';
import type { Pair, Site, System } from './system.js';

/** A migration that hangs must not hang the benchmark. */
const RUN_LIMIT_MS = 600_000;

export interface Surroundings {
  link: Link;
  /** For sockets. */
  directory: string;
  tscKhz: number;
}

export async function runOnce(
  system: System,
  workload: Workload,
  round: number,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<RunResult> {
  const cgroup = createMemoryCgroup(`postcopy-bench-${process.pid}`);
  const end = new AbortController();
  let pair: Pair | undefined;
  try {
    pair = await system.start(workload, siteIn(surroundings, cgroup));
    const endsEarly = Promise.race([aborted(AbortSignal.any([signal, end.signal])), tooLate(end.signal)]);
    const instruments = { interface: surroundings.link.interface, cgroup };
    return await Promise.race([measure(pair, system.name, workload, round, instruments), endsEarly]);
  } finally {
    end.abort();
    await pair?.dispose();
    cgroup?.remove();
  }
}

function siteIn({ link, directory, tscKhz }: Surroundings, cgroup: MemoryCgroup | undefined): Site {
  const join = joinCgroup(cgroup);
  const launchers = {
    sourceLauncher: [...join, ...link.sourceLauncher],
    destinationLauncher: [...join, ...link.destinationLauncher],
  };
  return { ...launchers, listen: link.listen, connect: link.connect, directory, tscKhz };
}

/** What a process is started through to be in the cgroup from its first page on. */
function joinCgroup(cgroup: MemoryCgroup | undefined): string[] {
  return cgroup === undefined ? [] : ['sh', '-c', 'echo $$ > "$0" && exec "$@"', cgroup.procsFile];
}

async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw new Error('ended by a signal');
}

async function tooLate(end: AbortSignal): Promise<never> {
  await delay(RUN_LIMIT_MS, undefined, { signal: end });
  throw new Error(`not over after ${RUN_LIMIT_MS / 1000} s`);
}
