import { beforeEach, expect, it, vi } from 'vitest';
import { beginDirtyLog } from '../../../src/machine/dirty-log.js';
import type { NativeMemory } from '../../../src/native.js';

const log = vi.hoisted((): string[] => []);
/** What fails with which code. */
const fails = vi.hoisted((): Record<string, string | undefined> => ({}));

vi.mock('../../../src/native.js', async (importOriginal) => {
  const orFail = (step: string): void => {
    if (fails[step] !== undefined) throw Object.assign(new Error(step), { code: fails[step] });
  };
  class DirtyLog {
    constructor(readonly kind: string) {
      orFail(`open ${kind}`);
      log.push(`open ${kind}`);
    }
    begin = async (): Promise<void> => orFail(`begin ${this.kind}`);
    end = (): void => void log.push(`end ${this.kind}`);
  }
  return { ...(await importOriginal<object>()), native: { DirtyLog } };
});

const memory = {} as NativeMemory;

beforeEach(() => {
  log.length = 0;
  for (const step of Object.keys(fails)) fails[step] = undefined;
});

it('is of userfaultfd where the kernel has that', async () => {
  expect((await beginDirtyLog('threads', memory)).kind).toBe('userfaultfd');
  expect(log).toEqual(['open userfaultfd']);
});

it('says what a host lacks, and for which machine', async () => {
  fails['open userfaultfd'] = 'EINVAL';
  await expect(beginDirtyLog('threads', memory)).rejects.toMatchObject({
    code: 'HOST_LACKS',
    message: expect.stringContaining('takes Linux 6.7 with userfaultfd for a machine of threads'),
    cause: { code: 'EINVAL' },
  });
});

it('leaves nothing behind if it cannot begin', async () => {
  fails['begin userfaultfd'] = 'EPERM';
  await expect(beginDirtyLog('threads', memory)).rejects.toMatchObject({ code: 'HOST_LACKS' });
  expect(log).toEqual(['open userfaultfd', 'end userfaultfd']);
});
