/**
 * The release before this one, for processes of it beside those of this one: its package as npm packs it, which
 * test/fixtures/last-release/make has made of its commit (a8f121e to ae4956a speak versions 7 and 6 of the protocol).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;
const TARBALL = join(ROOT, 'test/fixtures/last-release/postcopy.tgz');

/** Its directory, for ofPackage(); its dependencies are this one's. Gone when the test is over. */
export function unpackLastRelease(): string {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-last-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync('tar', ['xzf', TARBALL, '--strip-components=1', '-C', directory]);
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}
