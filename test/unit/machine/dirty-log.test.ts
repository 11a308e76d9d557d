import { beforeEach, expect, it, vi } from 'vitest';
import { beginDirtyLog } from '../../../src/machine/dirty-log.js';
import type { NativeMemory, NativeVm } from '../../../src/native.js';

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

const written = { memory: {} as NativeMemory, vm: {} as NativeVm };

beforeEach(() => {
  log.length = 0;
  for (const step of Object.keys(fails)) fails[step] = undefined;
});

it.each(['kvm', 'threads'] as const)(
  'is of userfaultfd where the kernel has that, on a machine of %s',
  async (name) => {
    expect((await beginDirtyLog(name, written)).kind).toBe('userfaultfd');
    expect(log).toEqual(['open userfaultfd']);
  },
);

it.each([
  ['open userfaultfd', []],
  ['begin userfaultfd', ['open userfaultfd', 'end userfaultfd']],
])('is KVM’s where it fails to %s', async (step, before) => {
  fails[step] = 'EINVAL';
  expect((await beginDirtyLog('kvm', written)).kind).toBe('kvm');
  expect(log).toEqual([...before, 'open kvm']);
});

it('says what a host lacks, and for which machine', async () => {
  fails['open userfaultfd'] = 'EINVAL';
  await expect(beginDirtyLog('threads', written)).rejects.toMatchObject({
    code: 'HOST_LACKS',
    message: expect.stringContaining('takes Linux 6.7, with userfaultfd, on a machine of threads'),
    cause: { code: 'EINVAL' },
  });
  fails['begin kvm'] = 'EBUSY';
  await expect(beginDirtyLog('kvm', written)).rejects.toMatchObject({
    code: 'HOST_LACKS',
    message: expect.stringContaining('or a KVM whose dirty log'),
    cause: { code: 'EINVAL' },
  });
  expect(log).toEqual(['open kvm', 'end kvm']);
});
