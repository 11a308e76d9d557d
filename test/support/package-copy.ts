/** Another copy of the package, for processes of it beside those of this one. */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;

/** What a process of it needs; its dependencies are this one's. Gone when the test is over. */
export function copyPackage(): string {
  const copy = mkdtempSync(join(tmpdir(), 'postcopy-copy-'));
  onTestFinished(() => rmSync(copy, { recursive: true, force: true }));
  for (const entry of ['package.json', 'dist', 'build/Release/postcopy.node']) {
    cpSync(join(ROOT, entry), join(copy, entry), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** What a command of this package is started through to be one of the package in that directory. */
export function ofPackage(directory: string): string[] {
  // $0 is Node, and $1 this package's program.
  return ['sh', '-c', `shift; exec "$0" "${join(directory, 'dist/cli/main.js')}" "$@"`];
}
