/**
 * One migration of postcopy's own guest under load between two processes of this host, verified: what the demo shows,
 * and the tests and benchmarks repeat.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseAddress } from '../configure/address.js';
import type { MachineName } from '../configure/machine-setting.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import { MIB } from '../memory/page-size.js';
import { guestBinary } from './guest-binary.js';
import type { GuestReport, GuestVerdict } from './guest-console.js';
import { SpawnedVm } from './spawned-vm.js';

export const PATTERNS = ['uniform', 'sequential', 'hotcold'] as const;

export interface TrialOptions {
  machine: MachineName;
  memoryBytes: number;
  workingSetBytes: number;
  cpus: number;
  pattern: (typeof PATTERNS)[number];
  /** How long the load runs before the migration, and after it until the guest is asked. */
  settleMs: number;
  onStep?(text: string): void;
  onProgress?(progress: MigrationProgress): void;
}

export interface TrialResult {
  summary: MigrationSummary;
  before: GuestReport;
  /** From the migration's beginning on. */
  during: GuestReport;
  verdict: GuestVerdict;
  /** Microseconds of full speed, all vCPUs together, that the guest lost from the migration's beginning on. */
  lostUs: number;
}

/** Pages that were never written and are looked at as well. */
const OUTSIDE_PAGES = 1000;

export async function runTrial(options: TrialOptions): Promise<TrialResult> {
  const step = options.onStep ?? (() => {});
  const megabytes = (bytes: number) => `${Math.round(bytes / MIB)}M`;
  const name = 'trial';
  const machine = ['--machine', options.machine];
  const destination = new SpawnedVm('receive', name, [...machine, '--listen', '127.0.0.1:0', '--serial', 'null']);
  const source = new SpawnedVm('run', name, [
    ...[
      ...machine,
      '--kernel',
      guestBinary(),
      '--memory',
      megabytes(options.memoryBytes),
      '--cpus',
      String(options.cpus),
    ],
    ...['--serial', 'null', '--no-reboot'],
  ]);
  try {
    const { listen } = await destination.reach('waiting');
    await source.reach('running');
    const guest = await source.guest();
    step(`the guest fills ${megabytes(options.workingSetBytes)} of its ${megabytes(options.memoryBytes)}`);
    await guest.command(`fill mib=${Math.round(options.workingSetBytes / MIB)}`, 'filled');
    await guest.command(`start pattern=${options.pattern}`, 'started');
    await delay(options.settleMs);
    const before = await guest.report();
    step(`it works on it at ${(before.accesses / before.us).toFixed(2)} million pages a second; now it moves`);
    await guest.command('reset', 'reset');
    const summary = await source.client.migrate(parseAddress(listen!, 'connect'), options.onProgress ?? (() => {}));
    if (summary.status !== 'completed') throw new Error(summary.error?.message ?? summary.status);
    guest.close();
    const moved = await destination.guest();
    await delay(options.settleMs);
    const during = await moved.report();
    step('it has moved; it checks every page');
    const verdict = await moved.verify(OUTSIDE_PAGES);
    moved.send('poweroff');
    await Promise.all([source.ended, destination.ended]);
    return { summary, before, during, verdict, lostUs: lostMicros(before, during, options.cpus) };
  } finally {
    await Promise.all([source.dispose(), destination.dispose()]);
  }
}

/** The time that the work missing against the speed before would have taken. */
function lostMicros(before: GuestReport, during: GuestReport, cpus: number): number {
  const microsPerAccess = before.us / before.accesses;
  return Math.max(0, during.us - during.accesses * microsPerAccess) * cpus;
}
