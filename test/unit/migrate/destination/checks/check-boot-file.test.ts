import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { bootFileObjections } from '../../../../../src/migrate/destination/checks/check-boot-file.js';

const MEMORY_BYTES = 64 * 2 ** 20;
const directory = mkdtempSync(join(tmpdir(), 'check-boot-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

type Role = 'kernel' | 'initrd';

/** A file of this host, as a peer that knows all of it would name it. */
function make(role: Role, begin: string) {
  const path = join(directory, `${role}-${Buffer.from(begin, 'latin1').toString('hex').slice(0, 40)}`);
  const content = Buffer.concat([Buffer.from(begin, 'latin1'), Buffer.alloc(9000, 'x')]);
  writeFileSync(path, content);
  return { role, path, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

const objection = ({ role, path }: { role: Role; path: string }) => [
  `${role} ${path} is missing here, or is another one: copy it from the source host`,
];

describe('what is the same here', () => {
  it.each<[Role, string]>([
    ['kernel', '\x7fELF'],
    ['kernel', `${'\0'.repeat(0x1fe)}\x55\xaa\xeb\x66HdrS`],
    ['initrd', '070701'],
    ['initrd', '\x1f\x8b'],
    ['initrd', '\x28\xb5\x2f\xfd'],
  ])('%s that begins with %j is no objection', async (role, begin) => {
    expect(await bootFileObjections(make(role, begin), MEMORY_BYTES)).toEqual([]);
  });
});

describe('what is not', () => {
  const kernel = make('kernel', '\x7fELF');

  it.each([
    ['missing', { path: `${kernel.path}-2` }],
    ['of another size', { bytes: kernel.bytes + 1 }],
    ['of another content', { sha256: 'b'.repeat(64) }],
    ['a directory', { path: directory }],
    ['a device', { path: '/dev/zero' }],
    ['a file of /proc', { path: '/proc/self/environ', bytes: 0 }],
  ])('a file that is %s: one answer for all', async (_, change) => {
    const file = { ...kernel, ...change };
    expect(await bootFileObjections(file, MEMORY_BYTES)).toEqual(objection(file));
  });

  it.each<[Role, string]>([
    ['kernel', 'root:$6$'],
    ['initrd', 'root:$6$'],
    ['initrd', '\x7fELF'],
    ['kernel', '070701'],
  ])('a %s that begins with %j, though the peer knows all of it', async (role, begin) => {
    const file = make(role, begin);
    expect(await bootFileObjections(file, MEMORY_BYTES)).toEqual(objection(file));
  });

  it('more than the guest has RAM for', async () => {
    expect(await bootFileObjections(kernel, kernel.bytes - 1)).toEqual(objection(kernel));
  });
});

it('storage that does not answer is no reason to wait for ever, nor to read from it again and again', async () => {
  const kernel = make('kernel', '\x7fELF');
  const late = [`kernel ${kernel.path} cannot be read here in time: see whether its storage answers`];
  const answers: ((same: boolean) => void)[] = [];
  const hangs = () => new Promise<boolean>((resolve) => answers.push(resolve));
  vi.useFakeTimers();
  try {
    for (let i = 0; i < 2; i++) {
      const objections = bootFileObjections(kernel, MEMORY_BYTES, hangs);
      await vi.advanceTimersByTimeAsync(20_000);
      expect(await objections).toEqual(late);
    }
  } finally {
    vi.useRealTimers();
  }
  expect(await bootFileObjections(kernel, MEMORY_BYTES, hangs)).toEqual(late);
  expect(answers).toHaveLength(2);
  for (const answer of answers) answer(true);
  await expect.poll(() => bootFileObjections(kernel, MEMORY_BYTES)).toEqual([]);
});
