/** The rounds of one scenario: every system in turn, and again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cleanup } from '../basics/cleanup.js';
import type { MachineName } from '../configure/machine-setting.js';
import { describeError } from '../errors.js';
import { openLink } from './link/link.js';
import type { FailedRun, RunResult, ScenarioResult } from './result.js';
import { runOnce, type Surroundings } from './run-once.js';
import type { Scenario } from './scenario.js';
import { summarizeRuns } from './summarize.js';
import type { System } from './system.js';
import { guestTscKhz } from './tsc.js';

export interface RoundsOptions {
  machine: MachineName;
  scenario: Scenario;
  systems: System[];
  rounds: number;
  onStep(text: string): void;
  /** Ends the run that is under way, and starts no other. */
  signal: AbortSignal;
}

/** Whatever was made for the scenario is undone by the cleanup, which is also the caller's to run at a signal. */
export async function runScenario(options: RoundsOptions, cleanup: Cleanup): Promise<ScenarioResult> {
  const { scenario, systems, rounds, onStep } = options;
  const surroundings = await surround(scenario, options.machine, cleanup);
  const runs: RunResult[] = [];
  const failed: FailedRun[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const system of systems) {
      if (options.signal.aborted) break;
      onStep(`${scenario.name}: round ${round} of ${rounds}, ${system.name}`);
      try {
        const run = await runOnce(system, scenario.workload, round, surroundings, options.signal);
        onStep(shortText(run));
        runs.push(run);
      } catch (error) {
        if (options.signal.aborted) break;
        onStep(`FAILED: ${describeError(error)}`);
        failed.push({ system: system.name, round, message: describeError(error) });
      }
    }
  }
  const { name, title, workload, link } = scenario;
  const summaries = summarizeRuns(runs);
  return { name, title, workload, link: link.text, rttMs: link.rttMs, runs, failed, summaries };
}

async function surround({ link }: Scenario, machine: MachineName, cleanup: Cleanup): Promise<Surroundings> {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-bench-'));
  cleanup.add(() => rmSync(directory, { recursive: true, force: true }));
  return { link: await openLink(link, cleanup), directory, tscKhz: guestTscKhz(machine) };
}

function shortText({ figures }: RunResult): string {
  const { totalMs, longestStallMs, faultWaitMeanUs, lostMs } = figures;
  const stall = `longest stall ${longestStallMs.toFixed(1)} ms`;
  const waits = `fault wait ${faultWaitMeanUs?.toFixed(0) ?? '-'} us, lost ${lostMs.toFixed(0)} ms`;
  return `  total ${totalMs.toFixed(0)} ms, ${stall}, ${waits}; every page verified`;
}
