/** The micro-benchmarks (test/micro) still run: each stage once or twice, without measuring anything. */
import { execFile } from 'node:child_process';
import { readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { SCALE } from '../support/scale.js';

const TIMEOUT_MS = 30_000 * SCALE;

it('every benchmark of a stage runs', { timeout: TIMEOUT_MS }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-micro-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const report = join(directory, 'figures.json');
  expect(await rehearse(report)).toMatchObject({ code: 0 });
  expect(Object.keys(JSON.parse(readFileSync(report, 'utf8')) as object).length).toBeGreaterThan(40);
});

function rehearse(report: string): Promise<{ code: number | null; output: string }> {
  const words = ['node_modules/vitest/vitest.mjs', 'bench', '--run', '--config', 'test/micro/vitest.config.ts'];
  // What the vitest around this one has put into the environment is not for the one inside.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST') && name !== 'NODE_ENV');
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...words, '--outputJson', report],
      {
        cwd: packageRoot,
        env: { ...Object.fromEntries(inherited), POSTCOPY_MICRO_SAMPLES: '1' },
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
      },
      (_, stdout, stderr) => resolve({ code: child.exitCode, output: stdout + stderr }),
    );
  });
}
