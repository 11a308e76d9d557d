/** The pages of the commands say what the program takes, and every command line in the manual is one that it takes. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Command, Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { EXITS } from '../../../src/cli/exit-codes.js';
import { createProgram } from '../../../src/cli/program.js';
import { parseAddress } from '../../../src/configure/address.js';
import { loadVmConfig } from '../../../src/configure/config-file.js';
import { parseDiskPlaces } from '../../../src/configure/disk.js';
import { parseNetPlaces } from '../../../src/configure/net.js';
import { projectRoot } from '../../support/lab/paths.js';
import { blocksOf, manualPages, sectionOf, textOfPage } from '../../support/manual.js';
import { commandsOf } from '../../support/shell-words.js';
import { FakeOutput } from '../cli/fake-output.js';

const newProgram = (): Command => createProgram([], new FakeOutput(), () => {});
const PROGRAM = newProgram();
const SECTIONS = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXAMPLES', 'EXIT STATUS', 'SEE ALSO'];

interface Item {
  term: string;
  text: string;
}

/** The items of a list, each a term and what is said of it. */
function itemsOf(section: string): Item[] {
  const items = section.split(/^- /m).slice(1);
  return items.map((item) => {
    const [, term = '', text = ''] = /^(.*?):\s+([^]*)$/.exec(item) ?? [];
    return { term, text: text.replaceAll(/\s+/g, ' ').trim() };
  });
}

interface Documented {
  flags: string;
  fallback: string | undefined;
}

function documented(page: string): Documented[] {
  return itemsOf(sectionOf(textOfPage(page), 'OPTIONS')).map(({ term, text }) => ({
    flags: term.replaceAll('`', ''),
    fallback: /Default: `(.*?)`\./.exec(text)?.[1],
  }));
}

/** Its default is commander's, or is only told, where `run` has to know whether the option was given. */
function defined({ flags, defaultValue, description, negate }: Option): Documented {
  const told = /\(default (.*?)\)/.exec(description)?.[1];
  return { flags, fallback: negate || defaultValue === undefined ? told : String(defaultValue) };
}

/** An item of each page's exit codes: `8` (`UNREACHABLE`). */
function exitCodes(page: string): string[] {
  return itemsOf(sectionOf(textOfPage(page), 'EXIT STATUS')).map(({ term }) => term);
}

const KNOWN_CODES = [
  '`0`',
  ...Object.entries(EXITS)
    .sort(([, a], [, b]) => a.code - b.code)
    .map(([name, { code }]) => `\`${code}\` (\`${name}\`)`),
  '`128+n`',
];

describe.each(PROGRAM.commands.map((command) => [command.name(), command] as const))(
  'postcopy-%s(1)',
  (name, command) => {
    const page = `postcopy-${name}.1`;

    test('has the sections of a command', () => {
      const headings = Array.from(textOfPage(page).matchAll(/^## (.*)$/gm), ([, heading]) => heading);
      expect(headings.filter((heading) => SECTIONS.includes(heading ?? ''))).toEqual(SECTIONS);
    });

    test('has its synopsis', () => {
      expect(sectionOf(textOfPage(page), 'SYNOPSIS').trim()).toBe(`\`postcopy ${name} ${command.usage()}\``);
    });

    test('has its options, all of them, no others, and their defaults', () => {
      expect(documented(page)).toEqual(command.options.map(defined));
    });

    test('has exit codes that there are, in order', () => {
      const codes = exitCodes(page);
      expect(codes.length).toBeGreaterThan(1);
      expect(codes).toEqual(KNOWN_CODES.filter((code) => codes.includes(code)));
    });

    test('has an example', () => {
      const examples = commandsOf(sectionOf(textOfPage(page), 'EXAMPLES'));
      expect(examples.some(([program, word]) => program === 'postcopy' && word === name)).toBe(true);
    });
  },
);

describe('postcopy(1)', () => {
  const text = textOfPage('postcopy.1');

  test('has the options of the program', () => {
    const [help, ...others] = documented('postcopy.1').reverse();
    expect(others.reverse()).toEqual(PROGRAM.options.map(defined));
    expect(help?.flags).toBe('-h, --help');
  });

  test('has all exit codes', () => {
    expect(exitCodes('postcopy.1')).toEqual(KNOWN_CODES);
  });

  test('has each command and each page', () => {
    for (const { name } of PROGRAM.commands.map((command) => ({ name: command.name() }))) {
      expect(sectionOf(text, 'COMMANDS')).toContain(`(postcopy-${name}.1.md)`);
    }
    for (const page of manualPages().filter((name) => name.endsWith('.7'))) {
      expect(sectionOf(text, 'SEE ALSO')).toContain(`(${page}.md)`);
    }
  });
});

describe.each(manualPages())('%s', (page) => {
  const blocks = blocksOf(textOfPage(page)).filter(({ language }) => language === 'sh');

  test('has shell commands that a shell can read', () => {
    for (const { text } of blocks) execFileSync('sh', ['-n', '-c', text]);
  });

  test('has command lines that the program takes', () => {
    for (const [program = '', ...words] of commandsOf(textOfPage(page))) {
      if (program === 'postcopy') take(words);
      else if (program.startsWith('scripts/')) takeScript(program, words);
    }
  });
});

/** Throws unless the program takes these words: its options, and what it reads in their values. */
function take(words: string[]): void {
  const program = newProgram();
  for (const command of program.commands) command.action((...all: unknown[]) => check(all));
  program.parse(words, { from: 'user' });
}

/** What commander hands to an action: the arguments, the options, and the command. */
function check(all: unknown[]): void {
  const command = all.at(-1) as Command;
  if (command.name() === 'run') return checkRun(command.opts());
  if (command.name() === 'receive') return checkReceive(command.opts());
  if (command.name() === 'migrate') parseAddress(String(all[1]), 'connect');
}

interface HostOptions {
  listen: string;
  disk?: string[];
  net?: string[];
  config?: string;
  detach?: boolean;
  confine: boolean;
}

function checkRun({ disk, net, config, detach, confine: _confine, ...flags }: HostOptions): void {
  // What a file says is settings.test.ts's; on a machine of threads the kernel has a default.
  const rest = { kernel: 'vmlinuz', ...(config === undefined ? {} : { name: 'web' }), ...flags };
  loadVmConfig(undefined, { ...rest, disks: disk, nets: net }, detach);
}

function checkReceive({ listen, disk = [], net = [] }: HostOptions): void {
  parseAddress(listen, 'listen');
  parseDiskPlaces(disk);
  parseNetPlaces(net);
}

/** scripts/demo and scripts/bench hand their arguments to the command of that name. */
function takeScript(path: string, words: string[]): void {
  accessSync(join(projectRoot, path), constants.X_OK);
  execFileSync('bash', ['-n', join(projectRoot, path)]);
  if (words.length > 0) take([path.replace('scripts/', ''), ...words]);
}

test('a command line that the program does not take is found', () => {
  expect(() => take(['migrate', 'web', '192.0.2.2:7000', '--fast'])).toThrow('--fast');
  expect(() => take(['migrate', 'web', '192.0.2.2'])).toThrow('192.0.2.2');
  expect(() => take(['run', '--name', 'web', '--disk', 'root.img'])).toThrow('root.img');
  expect(() => takeScript('scripts/none', [])).toThrow('ENOENT');
});
