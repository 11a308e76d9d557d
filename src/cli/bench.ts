/** `postcopy bench`: postcopy and QEMU move the same guest, in turn, and the guest tells what it felt. */
import { writeFileSync } from 'node:fs';
import { parseBenchOptions, type BenchOptions, type BenchWords } from './bench-options.js';
import { hostFacts } from '../bench/host-facts.js';
import { replayAll } from '../bench/prefetch.js';
import type { BenchResult } from '../bench/result.js';
import { runScenario } from '../bench/run.js';
import { prepareSystems, type PreparedSystems } from '../bench/prepare-systems.js';
import { evaluateModeTargets } from '../bench/mode-targets.js';
import { evaluateTargets } from '../bench/targets.js';
import { modesText } from '../bench/report/modes-text.js';
import { prefetchText } from '../bench/report/prefetch-text.js';
import { textReport } from '../bench/report/text-report.js';
import { Cleanup } from '../basics/cleanup.js';
import { EXIT_OK, exitCodeOf, exitCodeOfSignal } from './exit-codes.js';
import { say, type Output } from './output.js';
import { requireWritable } from './require-writable.js';
import { onEndSignals, signalNumber, type EndSignal } from './signals.js';

const TEXTS: Record<BenchOptions['compares'], (result: BenchResult) => string> = {
  systems: textReport,
  prefetch: (result) => prefetchText(result, replayAll()),
  modes: modesText,
};

export async function benchCommand(words: BenchWords, output: Output): Promise<number> {
  const options = parseBenchOptions(words);
  for (const file of [options.json, options.html]) if (file !== undefined) requireWritable(file, 'report');
  const cleanup = new Cleanup();
  const stop = new AbortController();
  const forget = onEndSignals((signal) => stop.abort(signal));
  try {
    const prepared = await prepareSystems(options, (text) => say(output, text));
    const result = await runAll(options, prepared, cleanup, output, stop.signal);
    if (stop.signal.aborted) return exitCodeOfSignal(signalNumber(stop.signal.reason as EndSignal));
    output.out(TEXTS[options.compares](result));
    await writeReports(options, result);
    return isWhole(result) ? EXIT_OK : exitCodeOf('INTERNAL');
  } finally {
    await cleanup.run();
    forget();
  }
}

async function runAll(
  options: BenchOptions,
  { systems, qemu, qemuCpuModel }: PreparedSystems,
  cleanup: Cleanup,
  output: Output,
  signal: AbortSignal,
): Promise<BenchResult> {
  const scenarios: BenchResult['scenarios'] = [];
  const startedAt = new Date().toISOString();
  for (const scenario of options.scenarios) {
    const chosen = systems.filter(({ name }) => scenario.systems.includes(name));
    const rounds = {
      machine: options.machine,
      scenario,
      systems: chosen,
      rounds: options.rounds,
      onStep: (text: string) => say(output, text),
    };
    scenarios.push(await runScenario({ ...rounds, signal }, cleanup));
    await cleanup.run();
  }
  return {
    version: 1,
    startedAt,
    host: { ...hostFacts(), machine: options.machine, qemu, qemuCpuModel },
    options: { rounds: options.rounds, systems: systems.map(({ name }) => name) },
    scenarios,
    targets: options.compares === 'modes' ? evaluateModeTargets(scenarios) : evaluateTargets(scenarios),
  };
}

async function writeReports({ json, html }: BenchOptions, result: BenchResult): Promise<void> {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(result)}\n`);
  if (html === undefined) return;
  const { htmlReport } = await import('../bench/report/html-report.js');
  writeFileSync(html, htmlReport(result));
}

/** A run that lost or damaged anything, or did not end, is a failure of the whole. */
function isWhole({ scenarios }: BenchResult): boolean {
  return scenarios.every(({ failed }) => failed.length === 0);
}
