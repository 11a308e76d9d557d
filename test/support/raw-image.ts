import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const BYTES = 1 << 20;

/** A disk of zeroes, for one test. */
export function makeRawImage(): string {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'root.img'), new Uint8Array(BYTES));
  return join(directory, 'root.img');
}
