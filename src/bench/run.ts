/** The rounds of one scenario: every system in turn, and again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cleanup } from '../cli/cleanup.js';
import type { LinkSpec } from './link/link-spec.js';
import { openLink } from './link/link.js';
import { measure } from './measure.js';
import { createMemoryCgroup, type MemoryCgroup } from './memory-cgroup.js';
import type { RunResult, Workload } from './result.js';
import type { Site, System } from './system.js';
import { guestTscKhz } from './tsc.js';

export interface RoundsOptions {
  systems: System[];
  workload: Workload;
  link: LinkSpec;
  rounds: number;
  onRun?(run: RunResult): void;
  onStep?(text: string): void;
}

export async function runRounds(options: RoundsOptions, cleanup: Cleanup): Promise<RunResult[]> {
  const link = await openLink(options.link, cleanup);
  const cgroup = createMemoryCgroup(`postcopy-bench-${process.pid}`);
  if (cgroup !== undefined) cleanup.add(() => cgroup.remove());
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-bench-'));
  cleanup.add(() => rmSync(directory, { recursive: true, force: true }));
  const site: Site = {
    sourceLauncher: [...joinCgroup(cgroup), ...link.sourceLauncher],
    destinationLauncher: [...joinCgroup(cgroup), ...link.destinationLauncher],
    listen: link.listen,
    connect: link.connect,
    directory,
    tscKhz: guestTscKhz(),
  };
  const runs: RunResult[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const system of options.systems) {
      options.onStep?.(`round ${round} of ${options.rounds}: ${system.name}`);
      const run = await measure(system, options.workload, round, { link, cgroup, site });
      options.onRun?.(run);
      runs.push(run);
    }
  }
  return runs;
}

function joinCgroup(cgroup: MemoryCgroup | undefined): string[] {
  return cgroup === undefined ? [] : ['sh', '-c', 'echo $$ > "$0" && exec "$@"', cgroup.procsFile];
}
