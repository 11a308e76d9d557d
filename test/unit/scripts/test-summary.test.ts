/** The verdict of scripts/test: CI goes by its last line and its exit code. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../src/native.js';

type Status = 'passed' | 'failed' | 'skipped';

/** The lines of the summary over suites that ended with `code` and left such reports, and its exit code. */
function summarize(...suites: { code?: number; report?: Status[] | '' }[]): { lines: string[]; code: number | null } {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-summary-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const rows = suites.map(({ code = 0 }, index) => `suite${index}\tthis machine\t${code}\t${index + 7}\n`);
  writeFileSync(join(directory, 'suites.tsv'), rows.join(''));
  suites.forEach(({ report }, index) => {
    if (report === undefined) return;
    writeFileSync(join(directory, `suite${index}.json`), report === '' ? '' : JSON.stringify(vitestReport(report)));
  });
  const script = join(packageRoot, 'scripts/test-summary.mjs');
  const { stdout, status } = spawnSync(process.execPath, [script, directory], { encoding: 'utf8' });
  return { lines: stdout.trimEnd().split('\n'), code: status };
}

function vitestReport(statuses: Status[]): object {
  return {
    numTotalTests: statuses.length,
    numPassedTests: statuses.filter((status) => status === 'passed').length,
    testResults: [
      { name: 'a.test.ts', assertionResults: statuses.map((status, index) => ({ status, fullName: `test ${index}` })) },
    ],
  };
}

test('all passed: a table, and the totals alone in the last line', () => {
  const { lines, code } = summarize({ report: ['passed', 'passed'] }, { report: ['passed'] });
  expect(lines).toEqual([
    '',
    'suite   where         passed  failed  seconds',
    'suite0  this machine       2       0        7',
    'suite1  this machine       1       0        8',
    '3 passed, 0 failed',
  ]);
  expect(code).toBe(0);
});

test.each<Status>(['failed', 'skipped'])('a test that %s has not passed, and is named', (status) => {
  const { lines, code } = summarize({ report: ['passed', status] });
  expect(lines[0]).toBe(`${status}: a.test.ts: test 1`);
  expect([lines.at(-1), code]).toEqual(['1 passed, 1 failed', 1]);
});

test.each([
  ['leaves no report', { report: undefined }, 'suite1 left no report', '1 passed, 1 failed'],
  ['leaves an empty one', { report: '' as const }, 'suite1 left no report', '1 passed, 1 failed'],
  [
    'breaks outside of its tests',
    { code: 1, report: ['passed'] as Status[] },
    'suite1 ended with 1',
    '2 passed, 1 failed',
  ],
])('a suite that %s has failed', (_, suite, why, totals) => {
  const { lines, code } = summarize({ report: ['passed'] }, suite);
  expect(lines[0]).toBe(`failed: ${why}`);
  expect([lines.at(-1), code]).toEqual([totals, 1]);
});

test('nothing at all is no success', () => {
  expect(summarize({ report: [] })).toMatchObject({ code: 1 });
});
