import { beforeEach, describe, expect, it } from 'vitest';
import { Deadline } from '../../../src/basics/deadline.js';
import { callDisk, DiskLock, NoStorageError } from '../../../src/host/disk-lock.js';
import { DISK_LOCK, DISK_SYNC, DISK_UNLOCK, type NativeDisk } from '../../../src/native.js';

/** Storage that answers when it is told to; calls end in order. */
class FakeStorage {
  readonly asked: number[] = [];
  /** Calls that have ended, and what they failed with. */
  answered = Infinity;
  readonly errors = new Map<number, string>();

  begin(call: number): number {
    return this.asked.push(call);
  }

  ended(_call: number, number: number): boolean {
    if (number > this.answered) return false;
    const code = this.errors.get(number);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    return true;
  }
}

const soon = () => Deadline.in(10_000);
const now = () => Deadline.in(0);
let storage: FakeStorage;
let lock: DiskLock;

beforeEach(() => {
  storage = new FakeStorage();
  lock = new DiskLock(storage as unknown as NativeDisk);
});

describe('a call', () => {
  it('is waited for no longer than it may be', async () => {
    storage.answered = 0;
    const sync = (until: Deadline, signal?: AbortSignal) => callDisk(lock.disk, DISK_SYNC, until, signal);
    await expect(sync(Deadline.in(10))).rejects.toThrow(NoStorageError);
    const why = new Error('cancelled');
    await expect(sync(soon(), AbortSignal.abort(why))).rejects.toBe(why);
    setTimeout(() => (storage.answered = 3), 5);
    await sync(soon());
  });
});

describe('a lock', () => {
  it('is asked for once, and again when it has been given up', async () => {
    expect(await lock.take(soon())).toBe(true);
    expect(await lock.take(now())).toBe(true);
    await lock.giveUp(soon());
    expect(await lock.take(soon())).toBe(true);
    expect(storage.asked).toEqual([DISK_LOCK, DISK_UNLOCK, DISK_LOCK]);
  });

  it('that somebody else has is asked for again', async () => {
    storage.errors.set(1, 'EAGAIN');
    expect(await lock.take(soon())).toBe(false);
    expect(await lock.take(soon())).toBe(true);
  });

  it('that cannot be had is not held', async () => {
    storage.errors.set(1, 'ENOLCK');
    await expect(lock.take(soon())).rejects.toThrow('ENOLCK');
    await lock.take(soon());
    expect(storage.asked).toEqual([DISK_LOCK, DISK_LOCK]);
  });

  it('that was not given in time is waited for by who asks next, once', async () => {
    storage.answered = 0;
    await expect(lock.take(now())).rejects.toThrow(NoStorageError);
    await expect(lock.take(now())).rejects.toThrow(NoStorageError);
    storage.answered = 1;
    expect(await lock.take(now())).toBe(true);
    expect(storage.asked).toEqual([DISK_LOCK]);
  });

  it('that was not given in time is given up behind that', async () => {
    storage.answered = 0;
    const late = lock.take(soon());
    await expect(lock.giveUp(now())).rejects.toThrow(NoStorageError);
    storage.answered = 2;
    await late;
    expect(storage.asked).toEqual([DISK_LOCK, DISK_UNLOCK]);
    storage.answered = 3;
    // Nobody knows yet that it has been given up: it is asked for behind that.
    expect(await lock.take(soon())).toBe(true);
    expect(storage.asked).toEqual([DISK_LOCK, DISK_UNLOCK, DISK_LOCK]);
  });

  it('that was not given up in time is taken again behind that: it may be gone', async () => {
    await lock.take(soon());
    storage.answered = 1;
    await expect(lock.giveUp(now())).rejects.toThrow(NoStorageError);
    storage.answered = 3;
    expect(await lock.take(soon())).toBe(true);
    expect(storage.asked).toEqual([DISK_LOCK, DISK_UNLOCK, DISK_LOCK]);
  });
});
