import { closeSync, openSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, type Backing, type NativeMemory, type Userfaultfd } from '../../src/native.js';
import { next, readable, startWorker } from './threads.js';

const PAGE = 4096;
const PAGES = 64;

interface Setting {
  memory: NativeMemory;
  userfaultfd: Userfaultfd;
}

function setUp(backing: Backing = 'anonymous', minor = false): Setting {
  const memory = new native.GuestMemory(PAGES * PAGE, backing);
  const userfaultfd = new native.Userfaultfd(memory);
  onTestFinished(() => {
    userfaultfd.close();
    memory.close();
  });
  userfaultfd.register(0, PAGES, minor);
  return { memory, userfaultfd };
}

/** Reads the first byte of a page in a thread of its own, which waits for the page as a vCPU would; posts it. */
function readInThread({ memory }: Setting, page: number) {
  return startWorker(
    `const memory = new native.GuestMemory(null, data.handle);
     const got = new Uint8Array(1);
     memory.read(data.page * 4096, got);
     post(got[0]);`,
    { handle: memory.handle, page },
  );
}

async function faultsOf({ userfaultfd }: Setting): Promise<number[]> {
  await readable(userfaultfd.fd);
  const faults = new Uint32Array(16);
  return [...faults.subarray(0, userfaultfd.readFaults(faults))];
}

const pagesOf = (...values: number[]) =>
  Uint8Array.from(values.flatMap((value) => new Array<number>(PAGE).fill(value)));

function firstBytes(memory: NativeMemory, first: number, count: number): number[] {
  const bytes = new Uint8Array(count * PAGE);
  memory.read(first * PAGE, bytes);
  return Array.from({ length: count }, (_, i) => bytes[i * PAGE]!);
}

/** The memfd behind the only memfd memory of this process, opened anew: written to without touching the mapping. */
function memfdOf(): number {
  const fd = readdirSync('/proc/self/fd').find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith('/memfd:postcopy-ram');
    } catch {
      return false; // the descriptor of the listing itself
    }
  });
  return openSync(`/proc/self/fd/${fd}`, 'r+');
}

describe.each(['anonymous', 'memfd'] as const)('Userfaultfd, %s', (backing) => {
  it('tells of a thread that waits, and lets it go on with the page', async () => {
    const setting = setUp(backing);
    const reader = readInThread(setting, 5);
    expect(await faultsOf(setting)).toEqual([5]);
    expect(setting.userfaultfd.copy(5, 1, pagesOf(1, 77), PAGE)).toBe(1);
    expect(await next(reader)).toBe(77);
    expect(setting.userfaultfd.readFaults(new Uint32Array(4))).toBe(0);
  });

  it('tells of several threads at once', async () => {
    const setting = setUp(backing);
    const readers = [3, 9, 9].map((page) => readInThread(setting, page));
    const faults: number[] = [];
    while (faults.length < 3) faults.push(...(await faultsOf(setting)));
    expect(faults.sort()).toEqual([3, 9, 9]);
    setting.userfaultfd.copy(3, 1, pagesOf(30), 0);
    setting.userfaultfd.copy(9, 1, pagesOf(90), 0);
    expect(await Promise.all(readers.map(next))).toEqual([30, 90, 90]);
  });

  it('answers with zeroes', async () => {
    const setting = setUp(backing);
    const reader = readInThread(setting, 6);
    expect(await faultsOf(setting)).toEqual([6]);
    expect(setting.userfaultfd.zero(6, 2)).toBe(2);
    expect(await next(reader)).toBe(0);
    expect(setting.userfaultfd.zero(5, 3)).toBe(1);
  });

  it('installs many pages at once, and leaves those that are there', () => {
    const { memory, userfaultfd } = setUp(backing);
    expect(userfaultfd.copy(12, 1, pagesOf(5), 0)).toBe(1);
    expect(userfaultfd.copy(10, 4, pagesOf(1, 2, 3, 4), 0)).toBe(3);
    expect(firstBytes(memory, 10, 4)).toEqual([1, 2, 5, 4]);
    expect(userfaultfd.copy(10, 4, pagesOf(9, 9, 9, 9), 0)).toBe(0);
    expect(userfaultfd.zero(9, 6)).toBe(2);
    expect(firstBytes(memory, 9, 6)).toEqual([0, 1, 2, 5, 4, 0]);
  });

  it('wakes a thread, which then waits again if the page is still missing', async () => {
    const setting = setUp(backing);
    const reader = readInThread(setting, 7);
    expect(await faultsOf(setting)).toEqual([7]);
    setting.userfaultfd.wake(7, 1);
    expect(await faultsOf(setting)).toEqual([7]);
    setting.userfaultfd.copy(7, 1, pagesOf(70), 0);
    expect(await next(reader)).toBe(70);
  });

  it('tells of no more faults than there is room for, and of the rest later', async () => {
    const setting = setUp(backing);
    const readers = [1, 2].map((page) => readInThread(setting, page));
    const one = new Uint32Array(1);
    const faults: number[] = [];
    while (faults.length < 2) {
      await readable(setting.userfaultfd.fd);
      if (setting.userfaultfd.readFaults(one) === 1) faults.push(one[0]!);
    }
    expect(faults.sort()).toEqual([1, 2]);
    setting.userfaultfd.zero(1, 2);
    expect(await Promise.all(readers.map(next))).toEqual([0, 0]);
  });

  it('leaves pages alone that are not registered, or not any more', () => {
    const memory = new native.GuestMemory(PAGES * PAGE, backing);
    const userfaultfd = new native.Userfaultfd(memory);
    onTestFinished(() => {
      userfaultfd.close();
      memory.close();
    });
    userfaultfd.register(8, 8, false);
    expect(firstBytes(memory, 7, 1)).toEqual([0]);
    userfaultfd.copy(8, 1, pagesOf(8), 0);
    userfaultfd.unregister(8, 8);
    expect(firstBytes(memory, 7, 4)).toEqual([0, 8, 0, 0]);
    expect(() => userfaultfd.copy(9, 1, pagesOf(9), 0)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('finds installed pages to hold data, and asks for no others by looking', () => {
    const { memory, userfaultfd } = setUp(backing);
    userfaultfd.copy(20, 3, pagesOf(0, 0, 0), 0);
    expect([...memory.dataExtents(0, PAGES)]).toEqual([20, 3]);
    expect(userfaultfd.readFaults(new Uint32Array(4))).toBe(0);
  });

  it('works from another thread', async () => {
    const setting = setUp(backing);
    const reader = readInThread(setting, 4);
    const server = startWorker(
      `const userfaultfd = new native.Userfaultfd(null, data);
       const faults = new Uint32Array(4);
       native.poll(Int32Array.of(userfaultfd.fd, 1, 0), 1, 10_000);
       const count = userfaultfd.readFaults(faults);
       userfaultfd.copy(faults[0], 1, new Uint8Array(4096).fill(44), 0);
       post([count, faults[0]]);`,
      setting.userfaultfd.handle,
    );
    expect(await Promise.all([next(server), next(reader)])).toEqual([[1, 4], 44]);
  });

  it.each([
    [PAGES, 1],
    [0, PAGES + 1],
    [5, 0],
    [2 ** 45, 1],
    [1, 2 ** 52],
  ])('refuses pages %d + %d', (first, count) => {
    const { userfaultfd } = setUp(backing);
    expect(() => userfaultfd.register(first, count, false)).toThrow(RangeError);
    expect(() => userfaultfd.unregister(first, count)).toThrow(RangeError);
    expect(() => userfaultfd.copy(first, count, new Uint8Array(PAGE), 0)).toThrow(RangeError);
    expect(() => userfaultfd.zero(first, count)).toThrow(RangeError);
    expect(() => userfaultfd.continue(first, count)).toThrow(RangeError);
    expect(() => userfaultfd.wake(first, count)).toThrow(RangeError);
  });

  it.each([
    [PAGE - 1, 0],
    [PAGE, 1],
    [2 * PAGE, PAGE + 1],
    [PAGE, 2 ** 53 - 1],
  ])('refuses to copy a page out of %d bytes at %d', (length, offset) => {
    const { userfaultfd } = setUp(backing);
    expect(() => userfaultfd.copy(0, 1, new Uint8Array(length), offset)).toThrow(RangeError);
  });
});

describe('Userfaultfd', () => {
  it('maps pages that the memfd has already', async () => {
    const setting = setUp('memfd', true);
    const file = memfdOf();
    writeSync(file, pagesOf(21, 22), 0, 2 * PAGE, 11 * PAGE);
    closeSync(file);
    const reader = readInThread(setting, 11);
    expect(await faultsOf(setting)).toEqual([11]);
    expect(setting.userfaultfd.continue(11, 2)).toBe(2);
    expect(await next(reader)).toBe(21);
    expect(setting.userfaultfd.continue(11, 2)).toBe(0);
    expect(firstBytes(setting.memory, 11, 2)).toEqual([21, 22]);
  });

  it('cannot map a page that the memfd does not have', () => {
    const { userfaultfd } = setUp('memfd', true);
    expect(() => userfaultfd.continue(3, 1)).toThrow(
      expect.objectContaining({ code: 'EFAULT', syscall: 'UFFDIO_CONTINUE' }),
    );
  });

  it('has minor faults of memfd memory only', () => {
    const memory = new native.GuestMemory(PAGES * PAGE, 'anonymous');
    const userfaultfd = new native.Userfaultfd(memory);
    onTestFinished(() => {
      userfaultfd.close();
      memory.close();
    });
    expect(() => userfaultfd.register(0, 1, true)).toThrow(expect.objectContaining({ syscall: 'UFFDIO_REGISTER' }));
  });

  it('cannot be used after close(), which may be called again', () => {
    const { memory, userfaultfd } = setUp();
    const { handle } = userfaultfd;
    userfaultfd.close();
    userfaultfd.close();
    const calls = [
      () => userfaultfd.fd,
      () => userfaultfd.readFaults(new Uint32Array(1)),
      () => userfaultfd.copy(0, 1, new Uint8Array(PAGE), 0),
      () => userfaultfd.zero(0, 1),
      () => userfaultfd.wake(0, 1),
    ];
    for (const call of calls) expect(call).toThrow('used after close()');
    expect(() => new native.Userfaultfd(null, handle)).toThrow('no such handle');
    expect(firstBytes(memory, 0, 1)).toEqual([0]);
  });

  it('keeps the memory it serves', () => {
    const memory = new native.GuestMemory(PAGE, 'anonymous');
    const userfaultfd = new native.Userfaultfd(memory);
    memory.close();
    userfaultfd.register(0, 1, false);
    expect(userfaultfd.copy(0, 1, pagesOf(1), 0)).toBe(1);
    userfaultfd.close();
  });

  it('says how it can be had', () => {
    const { path, features } = native.userfaultfdProbe();
    expect(['device', 'syscall']).toContain(path);
    expect(features).toBeGreaterThan(0);
  });
});

it('marks missing pages as lost: they stay so, hold data, and spoil nothing beside them', () => {
  const { memory, userfaultfd } = setUp();
  expect(userfaultfd.poison(5, 2)).toBe(2);
  userfaultfd.copy(4, 1, pagesOf(4), 0);
  userfaultfd.zero(7, 1);
  expect(userfaultfd.poison(5, 3)).toBe(0); // all there
  for (let tries = 0; tries < 2; tries++) {
    expect([4, 5, 6, 7].map((page) => memory.zeroRun(page, 1))).toEqual([-1, 0, 0, 1]);
    expect(() => memory.read(6 * PAGE, new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'EHWPOISON' }));
    expect([...memory.dataExtents(0, PAGES)]).toEqual([4, 3]);
    userfaultfd.unregister(0, PAGES);
  }
  memory.release(0, PAGES);
  expect(memory.zeroRun(0, PAGES)).toBe(PAGES);
});
