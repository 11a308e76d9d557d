/** Runs the micro-benchmarks (test/micro), each stage once or twice, without measuring anything. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { SCALE } from './scale.js';

export const REHEARSAL_MS = 30_000 * SCALE;

export interface Rehearsal {
  code: number | null;
  /** Names of the stages that ran. */
  stages: string[];
  output: string;
}

/** `words`: which, as vitest's command line has it. */
export function rehearseMicro(...words: string[]): Promise<Rehearsal> {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-micro-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const report = join(directory, 'figures.json');
  const bench = ['node_modules/vitest/vitest.mjs', 'bench', '--run', '--config', 'test/micro/vitest.config.ts'];
  // What the vitest around this one has put into the environment is not for the one inside.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST') && name !== 'NODE_ENV');
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...bench, '--outputJson', report, ...words],
      {
        cwd: packageRoot,
        env: { ...Object.fromEntries(inherited), POSTCOPY_MICRO_SAMPLES: '1' },
        timeout: REHEARSAL_MS,
        killSignal: 'SIGKILL',
      },
      (_, stdout, stderr) => resolve({ code: child.exitCode, stages: stagesOf(report), output: stdout + stderr }),
    );
  });
}

function stagesOf(report: string): string[] {
  return existsSync(report) ? Object.keys(JSON.parse(readFileSync(report, 'utf8')) as object) : [];
}
