/** Below the command line nothing names its options or commands: a program on the library or the HTTP API has neither. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { cliWords } from '../../support/cli-words.js';
import { projectRoot } from '../../support/lab/paths.js';

const SRC = join(projectRoot, 'src');

/** What may, and why. */
const MAY: Record<string, string> = {
  'cli/': 'it is the command line',
  'doctor/': 'it is a command of its own, beside the command line: its fixes are advice',
  'trial/spawned-vm.ts': 'it starts VM processes as a user does',
  'trial/trial.ts': 'it says with which options',
  'bench/postcopy-system.ts': 'it says with which options',
  'bench/report/html-report.ts': 'its title is the command that made it',
};

const SOURCES = (readdirSync(SRC, { recursive: true }) as string[]).filter((path) => /\.(ts|json)$/.test(path));
const BELOW = SOURCES.filter((path) => !Object.keys(MAY).some((may) => path.startsWith(may)));

/** The strings of a source, and the fixed parts of its templates. */
function stringsOf(path: string, text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      found.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  const kind = path.endsWith('.json') ? ts.ScriptKind.JSON : ts.ScriptKind.TS;
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false, kind));
  return found;
}

function wordsIn(path: string): string[] {
  return stringsOf(path, readFileSync(join(SRC, path), 'utf8')).flatMap(cliWords);
}

test('no source below it does', () => {
  const found = BELOW.map((path) => [path, wordsIn(path)] as const).filter(([, words]) => words.length > 0);
  expect(Object.fromEntries(found)).toEqual({});
});

test.each(Object.keys(MAY))('%s does', (may) => {
  const words = SOURCES.filter((path) => path.startsWith(may)).flatMap(wordsIn);
  expect(words).not.toEqual([]);
});

describe('words of the command line are found', () => {
  test.each([
    ["fail('give another port with --listen')", ['--listen']],
    [
      '`see "postcopy status ${name}" or \\`postcopy stop --force ${name}\\``',
      ['postcopy status', '--force', 'postcopy stop'],
    ],
    ['["postcopy run", "--log-level"]', ['--log-level', 'postcopy run']],
    ["// with --disk\nsetFlagsFromString('--no-lazy', 'postcopy has it', 'postcopy-run', '--disks', 'x--disk')", []],
  ])('%s', (text, words) => {
    expect(stringsOf('a.ts', text).flatMap(cliWords).sort()).toEqual(words.sort());
  });

  test('in JSON', () => expect(stringsOf('a.json', '{"a": ["b --disk"]}').flatMap(cliWords)).toEqual(['--disk']));
});
