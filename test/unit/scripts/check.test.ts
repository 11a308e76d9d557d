/** Each part of `npm run check` fails at what it is there for, by the rules that the project itself is checked with. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../src/native.js';

/** Four seconds alone. */
const PATIENCE_MS = 300_000;

/** A project that keeps every rule. */
const GOOD = {
  'package.json': '{\n  "name": "small",\n  "type": "module"\n}\n',
  'src/index.ts': "export { start } from './cli/main.js';\n",
  'src/cli/main.ts': `import { wait } from '../basics/wait.js';

export async function start(): Promise<void> {
  await wait(1);
}

await start();
`,
  'src/basics/wait.ts': `export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
`,
  'test/vitest.config.ts': "import { wait } from '../src/basics/wait.js';\n\nawait wait(1);\n",
  'native/wait.h': '#pragma once\nvoid Wait(int ms);\n',
};

/** What each part says of a project that breaks every rule. */
const BAD: Record<string, { files: Record<string, string>; says: RegExp }> = {
  format: { files: { 'src/errors.ts': 'export {  }\n' }, says: /\[warn\] src\/errors\.ts/ },
  'format-native': {
    files: { 'native/guest/sleep.c': 'void  sleep(char* name);\n' },
    says: /native\/guest\/sleep\.c:1:\d+: error: code should be clang-formatted/,
  },
  'types-src': {
    files: { 'src/native.ts': "export const bytes: number = '1';\n" },
    says: /src\/native\.ts\(1,14\): error TS2322/,
  },
  'types-test': {
    files: { 'test/wait.test.ts': "import { wait } from '../src/basics/wait.js';\n\nawait wait('1');\n" },
    says: /test\/wait\.test\.ts\(3,12\): error TS2345/,
  },
  lint: {
    files: { 'src/cli/floats.ts': "import { wait } from '../basics/wait.js';\n\nwait(1);\n" },
    says: /src\/cli\/floats\.ts\s+3:1\s+error\s+.*no-floating-promises/,
  },
  unused: {
    files: {
      'src/index.ts': "export { name } from './version.js';\n",
      'src/version.ts': "export const name = 'small';\nexport const nobodyReads = 1;\n",
      'src/memory/nobody.ts': "export const page = 'unread';\n",
    },
    says: /Unused files[^]*src\/memory\/nobody\.ts[^]*Unused exports[^]*nobodyReads\s+src\/version\.ts/,
  },
  imports: {
    files: {
      'src/memory/climbs.ts': "import type { Floor } from '../vm/floor.js';\n\nexport type Room = Floor;\n",
      'src/vm/floor.ts': "export type Floor = 'vm';\n",
      'src/vm/egg.ts': "import type { Hen } from './hen.js';\n\nexport type Egg = Hen[];\n",
      'src/vm/hen.ts': "import type { Egg } from './egg.js';\n\nexport type Hen = Egg[];\n",
    },
    says: /no-circles: src\/vm\/(egg|hen)[^]*down-from-memory: src\/memory\/climbs\.ts → src\/vm\/floor\.ts/,
  },
};

/** The exit code of `npm run check` over such files, and what it prints. */
function check(files: Record<string, string>): { status: number | null; stdout: string } {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-check-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  const settings = [
    '.prettierrc.json',
    '.knip.json',
    'src/tsconfig.json',
    'test/tsconfig.json',
    'native/.clang-format',
  ];
  for (const path of [...settings, 'native/guest/.clang-format']) {
    cpSync(join(packageRoot, path), join(directory, path));
  }
  symlinkSync(join(packageRoot, 'node_modules'), join(directory, 'node_modules'));
  const script = join(packageRoot, 'scripts/check/run.mjs');
  // CI has colours, which would come between the words.
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
  return spawnSync(process.execPath, [script, '--in', directory], { encoding: 'utf8', env });
}

const verdicts = (stdout: string, verdict: string): string[] =>
  [...stdout.matchAll(new RegExp(`^${verdict}: (\\S+)`, 'gm'))].map(([, part]) => String(part)).sort();

test('a project that keeps the rules passes', { timeout: PATIENCE_MS }, () => {
  const { status, stdout } = check(GOOD);
  expect(verdicts(stdout, 'passed'), stdout).toEqual(Object.keys(BAD).sort());
  expect(status).toBe(0);
});

test('one that breaks them fails in every part, which says where', { timeout: PATIENCE_MS }, () => {
  const { status, stdout } = check(Object.assign({}, GOOD, ...Object.values(BAD).map(({ files }) => files)));
  expect(verdicts(stdout, 'FAILED'), stdout).toEqual(Object.keys(BAD).sort());
  for (const { says } of Object.values(BAD)) expect(stdout).toMatch(says);
  expect(status).toBe(1);
});

test('CI runs it first', () => {
  const suites = readFileSync(join(packageRoot, 'scripts/test'), 'utf8').match(/^(suite|for name in) .*$/gm);
  expect(suites?.[0]).toMatch(/^suite check /);
});
