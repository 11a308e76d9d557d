/**
 * The end of scripts/test: what did not pass, a table of the suites, and the totals, which CI reads in the last line.
 *
 *   node scripts/test-summary.mjs DIRECTORY
 *
 * DIRECTORY/suites.tsv has a line for each suite: its name, where it ran, its exit code and its seconds, between tabs.
 * DIRECTORY/NAME.json is vitest's report of it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = process.argv[2];
const suites = readFileSync(join(directory, 'suites.tsv'), 'utf8').trimEnd().split('\n').map(readSuite);
const passed = sum((suite) => suite.passed);
const failed = sum((suite) => suite.failed);

for (const line of suites.flatMap((suite) => suite.problems)) console.log(line);
console.log();
printTable([
  ['suite', 'where', 'passed', 'failed', 'seconds'],
  ...suites.map((suite) => [suite.name, suite.where, suite.passed, suite.failed, suite.seconds].map(String)),
]);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function readSuite(line) {
  const [name, where, code, seconds] = line.split('\t');
  const file = join(directory, `${name}.json`);
  const report = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const result = report === '' ? broken(name, 'left no report') : readReport(JSON.parse(report));
  // It may have broken outside of its tests as well.
  const end = code !== '0' && result.failed === 0 ? broken(name, `ended with ${code}`) : {};
  return { name, where, seconds, ...result, ...end, passed: result.passed };
}

function broken(name, why) {
  return { passed: 0, failed: 1, problems: [`failed: ${name} ${why}`] };
}

function readReport({ numPassedTests: passed, numTotalTests, testResults }) {
  const problems = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status !== 'passed')
      .map(({ status, fullName }) => `${status}: ${name}: ${fullName}`),
  );
  return { passed, failed: numTotalTests - passed, problems }; // a test that was skipped has shown nothing
}

function sum(of) {
  return suites.reduce((total, suite) => total + of(suite), 0);
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const pad = (cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]));
  for (const row of rows) console.log(row.map(pad).join('  '));
}
