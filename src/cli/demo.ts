/** `postcopy demo`: the project's guest, under load, migrated here between two processes, verified. */
import type { MachineName } from '../configure/machine-setting.js';
import { PATTERNS, runTrial, type TrialOptions, type TrialResult } from '../trial/trial.js';
import type { DowntimeParts } from '../migrate/report/downtime.js';
import { MIB } from '../memory/page-size.js';
import { EXIT_OK, exitCodeOf } from './exit-codes.js';
import { openLiveLine, printJson, say, type Output } from './output.js';
import { loadNative } from './load-native.js';
import { progressLine } from './migration-text.js';
import { parseCpus, parseMemory, parsePattern, type WorkloadWords } from './workload-options.js';

export interface DemoOptions extends WorkloadWords {
  json?: boolean;
}

const SETTLE_MS = 1000;

export async function demoCommand(options: DemoOptions, output: Output): Promise<number> {
  const trial = checkOptions(options);
  await requireHost(options.machine);
  const line = await openLiveLine(options.json !== true);
  let result: TrialResult;
  try {
    result = await runTrial({
      ...trial,
      onStep: (text) => {
        line.clear();
        say(output, text);
      },
      onProgress: (progress) => line.show(progressLine('the guest', progress)),
    });
  } finally {
    line.clear();
  }
  if (options.json === true) printJson(output, result);
  else output.out(demoText(result));
  return isGood(result) ? EXIT_OK : exitCodeOf('INTERNAL');
}

/** Asked here, where its absence has an exit code of its own: the VM's processes only say it. */
async function requireHost(machine: MachineName): Promise<void> {
  await loadNative();
  const { requireMachine, requireUserfaultfd } = await import('../host/require-host.js');
  requireMachine(machine);
  requireUserfaultfd();
}

function checkOptions(options: DemoOptions): TrialOptions {
  const cpus = parseCpus(options);
  const pattern = parsePattern(options, PATTERNS);
  return { machine: options.machine, ...parseMemory(options), cpus, pattern, settleMs: SETTLE_MS };
}

function isGood({ summary, during, verdict }: TrialResult): boolean {
  return (
    summary.status === 'completed' && during.bad + verdict.bad + verdict.outside_bad === 0 && summary.pages.resent === 0
  );
}

function downtimeText(parts: DowntimeParts): string {
  return Object.entries(parts)
    .map(([part, ms = 0]) => `${part} ${ms.toFixed(2)}`)
    .join(', ');
}

function demoText(result: TrialResult): string {
  const { summary, during, verdict, lostUs } = result;
  const ms = (micros: number) => `${(micros / 1000).toFixed(2)} ms`;
  const us = (micros: number) => `${Math.round(micros)} us`;
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  const { faultWaitUs: wait, pages, memory } = summary;
  return [
    '',
    `What the guest felt, on a machine of ${summary.machine === 'kvm' ? 'KVM' : 'threads'}`,
    `  longest stall          ${ms(during.longest_us)}`,
    `  downtime               ${ms(summary.downtimeMs * 1000)}: ${downtimeText(summary.downtimeParts)}`,
    `  fault wait             ${us(wait.mean)} mean, ${us(wait.p50)} p50, ${us(wait.p99)} p99, ${wait.count} faults`,
    `  work lost              ${ms(lostUs)} of full speed`,
    'What it took',
    `  total time             ${Math.round(summary.totalMs)} ms`,
    `  on the wire            ${mib(summary.wireBytes)}; ${pages.sent} pages, ${pages.demanded} of them on demand, ${pages.resent} twice`,
    `  memory, both ends      ${mib(memory.sumPeakBytes)} at its peak`,
    'Is it whole',
    `  checked by the guest   ${verdict.pages} pages of its work, ${verdict.bad + during.bad} bad; ${verdict.outside} never written, ${verdict.outside_bad} bad`,
    isGood(result) ? 'Every page verified.' : 'NOT WHOLE: this is a bug, please report it.',
    '',
  ].join('\n');
}
