/**
 * Prints the figures in microseconds, medians first. Vitest's own reporter prints milliseconds with four digits, and of
 * two stages which is the faster, which tells nothing here. `--outputJson FILE` keeps the medians, `--compare FILE` sets
 * them beside those of a run before.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { RunnerTask, RunnerTestFile } from 'vitest';
import type { Reporter, TestModule, Vitest } from 'vitest/node';

type Figures = Record<string, number>;
const NAME_WIDTH = 56;
const CELL_WIDTH = 11;
const COLUMNS = ['', 'median us', 'mean', 'min', 'p99', 'samples'];

export default class MicroReporter implements Reporter {
  #vitest!: Vitest;
  #before: Figures | undefined;
  readonly #medians: Figures = {};
  readonly #done = new Set<string>();
  #failed = 0;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
    const { compare } = vitest.config.benchmark ?? {};
    if (compare) this.#before = JSON.parse(readFileSync(compare, 'utf8')) as Figures;
    this.#print(this.#before === undefined ? COLUMNS : [...COLUMNS, 'before', 'ratio']);
  }

  onTestModuleEnd(module: TestModule): void {
    if (this.#done.has(module.id)) return; // vitest tells of a benchmark's file twice
    this.#done.add(module.id);
    const file = (module as unknown as { task: RunnerTestFile }).task;
    this.#failed += file.result?.state === 'fail' ? 1 : 0;
    for (const error of file.result?.errors ?? []) {
      this.#vitest.logger.error(`${file.name}: ${error.stack ?? error.message}`);
      if (error.cause) this.#vitest.logger.error(error.cause.stack ?? error.cause.message);
    }
    for (const task of file.tasks) this.#printStage(task);
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly { message: string; stack?: string }[]): void {
    for (const error of errors) this.#vitest.logger.error(error.stack ?? error.message);
    const { outputJson } = this.#vitest.config.benchmark ?? {};
    if (outputJson) writeFileSync(outputJson, `${JSON.stringify(this.#medians, null, 2)}\n`);
    this.#vitest.logger.log(`${Object.keys(this.#medians).length} stages, ${this.#failed} files failed`);
  }

  #printStage(task: RunnerTask): void {
    const figures = task.type === 'test' ? task.result?.benchmark : undefined;
    // No time at all: it was not run, because a stage before it in its file failed.
    if (figures === undefined || figures.sampleCount === 0 || figures.max === 0) return;
    const { median, mean, min, p99, sampleCount } = figures;
    this.#medians[task.name] = median * 1000;
    const row = [task.name, ...[median, mean, min, p99].map((value) => format(value * 1000)), String(sampleCount)];
    const before = this.#before?.[task.name];
    if (before !== undefined) row.push(format(before), ((median * 1000) / before).toFixed(2));
    this.#print(row);
  }

  #print(row: string[]): void {
    this.#vitest.logger.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(NAME_WIDTH) : cell.padStart(CELL_WIDTH))).join(''),
    );
  }
}

/** Three digits that mean something. */
function format(micros: number): string {
  return micros >= 100 ? micros.toFixed(0) : micros >= 10 ? micros.toFixed(1) : micros.toFixed(3);
}
