import * as crypto from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { readBootFile } from '../../../src/machine/boot-file.js';

vi.mock('node:crypto', async (importOriginal) => {
  const original = await importOriginal<typeof crypto>();
  return { ...original, createHash: vi.fn(original.createHash) };
});

const HASH_OF_ONE = '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed';
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

function makeFile(content: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-boot-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'kernel'), content);
  return join(directory, 'kernel');
}

it('reads a file again, and hashes it only if it may be another one', async () => {
  const path = makeFile('one');
  const hashes = vi.mocked(crypto.createHash);
  const read = async () => {
    hashes.mockClear();
    const { content, description } = await readBootFile('kernel', path);
    return [Buffer.from(content).toString(), description.sha256 === HASH_OF_ONE, hashes.mock.calls.length];
  };
  // A file that was written just now may change again without a sign of it.
  expect([await read(), await read()]).toEqual([
    ['one', true, 1],
    ['one', true, 1],
  ]);
  // By a clock that is a year on, it has long been as it is.
  const now = Date.now();
  vi.spyOn(Date, 'now').mockImplementation(() => now + YEAR_MS);
  onTestFinished(() => void vi.restoreAllMocks());
  expect([await read(), await read()]).toEqual([
    ['one', true, 1],
    ['one', true, 0],
  ]);
  writeFileSync(path, 'two');
  utimesSync(path, 1, 1); // whatever it says of itself
  expect([await read(), await read()]).toEqual([
    ['two', false, 1],
    ['two', false, 0],
  ]);
});

it('refuses what is no file', async () => {
  await expect(readBootFile('initrd', '/dev/null')).rejects.toMatchObject({ code: 'BAD_KERNEL' });
  await expect(readBootFile('initrd', '/nowhere')).rejects.toMatchObject({ code: 'BAD_KERNEL' });
});
