/** The package as it is published: what is in it runs without a compiler. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blockOfPage, README } from '../support/manual.js';

const root = new URL('../..', import.meta.url).pathname;
const work = mkdtempSync(join(tmpdir(), 'postcopy-package-'));
const installed = join(work, 'installed');
const tree = join(work, 'tree');

beforeAll(() => {
  for (const entry of ['package.json', 'binding.gyp', 'native', 'src', 'dist', 'scripts', 'README.md', 'LICENSE']) {
    cpSync(join(root, entry), join(tree, entry), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  run('npm', ['run', 'build:man'], tree);
  run('npm', ['run', 'prebuild'], tree);
  const tarball = run('npm', ['pack', '--ignore-scripts', '--silent'], tree).trim();
  execFileSync('mkdir', ['-p', installed]);
  run('tar', ['xzf', join(tree, tarball), '--strip-components=1', '-C', installed], work);
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
}, 300_000);

afterAll(() => rmSync(work, { recursive: true, force: true }));

function run(command: string, words: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): string {
  return execFileSync(command, words, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

test('installs without a compiler', () => {
  const none = '/bin/false';
  run('npm', ['run', 'install'], installed, { ...process.env, CC: none, CXX: none, PYTHON: none });
  expect(() => run('ls', ['build'], installed)).toThrow();
});

test('runs from the tarball, its own guest included', () => {
  expect(run('node', ['dist/cli/main.js', '--version'], installed).trim()).toMatch(/^\d+\.\d+\.\d+$/);
  // On a machine without a usable /dev/kvm it says so, as the checkout does.
  expect(guestRuns(installed)).toBe(guestRuns(root));
});

function guestRuns(directory: string): string | undefined {
  const { stdout } = spawnSync('node', ['dist/cli/main.js', 'doctor', '--json'], { cwd: directory, encoding: 'utf8' });
  const { checks } = JSON.parse(stdout) as { checks: { name: string; level: string }[] };
  return checks.find(({ name }) => name === 'guest runs')?.level;
}

test.each(['vm-settings.schema.json', 'openapi.json'])('has %s', (file) => {
  const code = `console.log(JSON.stringify(require('postcopy/${file}')).length > 1000)`;
  expect(run('node', ['-e', code], useOfPackage()).trim()).toBe('true');
});

test('has an index to embed it by', () => {
  const code = "import('postcopy').then((m) => console.log(Object.keys(m).sort().join()))";
  const exported = run('node', ['--input-type=module', '-e', code], useOfPackage()).trim().split(',');
  expect(exported).toEqual(expect.arrayContaining(['PostcopyError', 'VmClient', 'receiveVm', 'startVm']));
});

test('has a man page of each command and topic', () => {
  const { man } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { man: string[] };
  expect(man).toContain('./dist/man/postcopy-migrate.1');
  for (const path of man) {
    const page = readFileSync(join(installed, path), 'utf8');
    expect(page, path).toMatch(/^\.SH NAME\n\.P\npostcopy.* \\- \w/m);
    if (path.endsWith('.1')) expect(page, path).toMatch(/^\.SH SYNOPSIS$/m);
  }
});

test("README's command puts the program and its man pages where the shell and man find them", () => {
  const prefix = join(work, 'prefix');
  run('sh', ['-e', '-c', blockOfPage(README, 'npm link')], tree, { ...process.env, npm_config_prefix: prefix });
  expect(run(join(prefix, 'bin/postcopy'), ['--version'], work).trim()).toMatch(/^\d/);
  expect(run('man', ['postcopy-migrate'], work, { ...process.env, MANPATH: join(prefix, 'share/man') })).toContain(
    'postcopy-migrate - moves a VM',
  );
});

/** A directory from which `postcopy` is the installed package. */
function useOfPackage(): string {
  const user = mkdtempSync(join(work, 'user-'));
  mkdirSync(join(user, 'node_modules'));
  symlinkSync(installed, join(user, 'node_modules/postcopy'));
  return user;
}
