/**
 * What can be said of the code without running it, its parts side by side: `npm run check`. Needs `npm ci`, and nothing
 * built.
 *
 *   node scripts/check/run.mjs [--report FILE] [--in DIRECTORY] [PART...]
 *
 * Prints what the parts that failed have to say. FILE gets a report as vitest's, with the parts as its tests. DIRECTORY
 * is another tree to which the same rules are applied.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const bin = join(here, '../../node_modules/.bin');

const { values, positionals } = parseArgs({
  options: { report: { type: 'string' }, in: { type: 'string', default: join(here, '../..') } },
  allowPositionals: true,
});
const directory = values.in;

/** All begin at once: the longest sets the time. Each program runs as in a shell. */
const PARTS = {
  format: ['prettier', '--check', '.', '!README.md', '!scripts/check/eslint-suppressions.json'],
  'format-native': ['clang-format', '--dry-run', '--Werror', '-fno-color-diagnostics', ...nativeFiles()],
  'types-src': ['tsc', '--noEmit', '-p', 'src/tsconfig.json'],
  'types-test': ['tsc', '--noEmit', '-p', 'test/tsconfig.json'],
  // `npm run check:known` takes off the list of what is known what is mended: until then, that fails as well.
  lint: [
    ...['eslint', '--config', join(here, 'eslint.config.js')],
    ...['--suppressions-location', join(here, 'eslint-suppressions.json'), 'src', 'test'],
  ],
  unused: ['knip', '--no-config-hints'],
  imports: ['depcruise', '--config', join(here, 'dependency-cruiser.cjs'), 'src', 'test'],
};

const wanted = Object.keys(PARTS).filter((name) => positionals.length === 0 || positionals.includes(name));
const ends = await Promise.all(wanted.map(run));
if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(reportOf(ends)));
process.exitCode = ends.every(({ passed }) => passed) ? 0 : 1;

async function run(name) {
  const [program, ...args] = PARTS[name];
  const startedAt = performance.now();
  const child = spawn(join(bin, program), args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => output.push(data));
  const [code] = await once(child, 'close');
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (code !== 0) console.log(Buffer.concat(output).toString().trim());
  console.log(`${code === 0 ? 'passed' : 'FAILED'}: ${name} (${seconds} s)`);
  return { name, passed: code === 0 };
}

function nativeFiles() {
  const files = readdirSync(join(directory, 'native'), { recursive: true });
  return files.filter((file) => /\.(cc|c|h)$/.test(file)).map((file) => join('native', file));
}

function reportOf(parts) {
  return {
    numTotalTests: parts.length,
    numPassedTests: parts.filter(({ passed }) => passed).length,
    testResults: [
      {
        name: 'scripts/check',
        assertionResults: parts.map(({ name, passed }) => ({ status: passed ? 'passed' : 'failed', fullName: name })),
      },
    ],
  };
}
