/** Which pages are written, as userfaultfd tells it: on Linux 6.7 and later. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, type Backing } from '../../src/native.js';
import {
  beginLog,
  dataOf,
  expectAllWaysSeen,
  expectCopyFollows,
  openRam,
  PAGE,
  PAGES,
  pagesIn,
  startWriters,
  touch,
} from './dirty-logs.js';
import { at, createThreadVm, setRegisters } from './thread-vm.js';
import { PATIENCE_MS, runNode } from './threads.js';

const HUGE_PAGES = 512;

describe.each<Backing>(['anonymous', 'threads'])('a dirty log of RAM that is %s', (backing) => {
  it('tells what is written from its beginning on, once', async () => {
    const memory = openRam(backing);
    touch(memory, 1, 2, 50, PAGES - 1);
    const log = await beginLog(memory);
    expect(log.kind).toBe('userfaultfd');
    expect(pagesIn(await log.collect())).toEqual([]);
    touch(memory, 2, 50, 50);
    expect(pagesIn(await log.collect())).toEqual([2, 50]);
    expect(pagesIn(await log.collect())).toEqual([]);
    touch(memory, PAGES - 1, 2);
    expect(pagesIn(log.collectNow())).toEqual([2, PAGES - 1]);
    expect(pagesIn(log.collectNow())).toEqual([]);
  });

  it('tells of pages that held nothing', async () => {
    const memory = openRam(backing);
    const log = await beginLog(memory);
    touch(memory, 0, 7);
    expect(pagesIn(await log.collect())).toEqual([0, 7]);
    touch(memory, 7, 8);
    expect(pagesIn(await log.collect())).toEqual([7, 8]);
  });

  it('takes no page for written that is read', async () => {
    const memory = openRam(backing);
    touch(memory, 3);
    const log = await beginLog(memory);
    memory.read(0, new Uint8Array(PAGES * PAGE));
    expect(pagesIn(await log.collect())).toEqual([]);
    touch(memory, 4);
    expect(pagesIn(await log.collect())).toEqual([4]);
  });

  it('changes nothing of which pages hold data', async () => {
    const memory = openRam(backing, 3 * HUGE_PAGES + PAGES);
    memory.read(100 * PAGE, new Uint8Array(PAGE));
    touch(memory, HUGE_PAGES + 1, 3 * HUGE_PAGES + 5);
    const before = dataOf(memory);
    const log = await beginLog(memory);
    expect(dataOf(memory)).toEqual(before);
    await log.collect();
    log.collectNow();
    expect(dataOf(memory)).toEqual(before);
    log.end();
    expect(dataOf(memory)).toEqual(before);
    memory.release(HUGE_PAGES, HUGE_PAGES);
    expect(dataOf(memory)).toEqual(before.filter((page) => page < HUGE_PAGES || page >= 2 * HUGE_PAGES));
  });

  it('tells of a page that was given back once it holds data again', async () => {
    const memory = openRam(backing);
    touch(memory, 5, 6, 7);
    const log = await beginLog(memory);
    memory.release(5, 2);
    expect(dataOf(memory)).toEqual([7]);
    await log.collect();
    touch(memory, 6);
    expect(pagesIn(await log.collect())).toEqual([6]);
    expect(dataOf(memory)).toEqual([6, 7]);
  });

  it('tells no page less where RAM is of huge pages', async () => {
    const memory = openRam(backing, 4 * HUGE_PAGES);
    memory.write(0, new Uint8Array(4 * HUGE_PAGES * PAGE).fill(1));
    memory.collapse(0, 4 * HUGE_PAGES);
    const log = await beginLog(memory);
    touch(memory, 3, HUGE_PAGES);
    expect(pagesIn(await log.collect())).toEqual([3, HUGE_PAGES]);
    touch(memory, 4);
    // The kernel refuses a block with a page that is protected, and what it does collapse is told.
    memory.collapse(0, 4 * HUGE_PAGES);
    expect(pagesIn(await log.collect())).toContain(4);
    memory.write(HUGE_PAGES * PAGE, new Uint8Array(HUGE_PAGES * PAGE).fill(2));
    memory.collapse(HUGE_PAGES, HUGE_PAGES);
    const block = Array.from({ length: HUGE_PAGES }, (_, page) => HUGE_PAGES + page);
    expect(pagesIn(await log.collect())).toEqual(block);
    touch(memory, HUGE_PAGES + 9);
    expect(pagesIn(await log.collect())).toEqual([HUGE_PAGES + 9]);
  });

  it('ends, and another one can begin', async () => {
    const memory = openRam(backing);
    touch(memory, 1);
    const log = await beginLog(memory);
    expect(() => new native.DirtyLog('userfaultfd', memory)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    log.end();
    log.end();
    await expect(log.collect()).rejects.toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => log.collectNow()).toThrow(expect.objectContaining({ code: 'EBADF' }));
    const other = await beginLog(memory);
    touch(memory, 1);
    expect(pagesIn(await other.collect())).toEqual([1]);
  });
});

it('sees the stores of a vCPU of a machine of threads', async () => {
  // mov [rbx], rax; jmp back
  const { memory, vcpus } = createThreadVm([0x48, 0x89, 0x03, 0xeb, 0xfb]);
  setRegisters(vcpus[0]!, { rbx: at(9 * PAGE), rax: 5n });
  const log = await beginLog(memory);
  vcpus[0]!.resume();
  const seen = new Set<number>();
  while (!seen.has(9)) pagesIn(await log.collect()).forEach((page) => seen.add(page));
  vcpus[0]!.requestPause();
  expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
  expect([...seen]).toEqual([9]);
});

it('sees every way in which this process writes', async () => {
  const memory = openRam();
  touch(memory, ...Array.from({ length: PAGES }, (_, page) => page));
  await expectAllWaysSeen(memory, await beginLog(memory));
});

it('misses nothing of what threads write while it is asked', async () => {
  const memory = openRam();
  const log = await beginLog(memory);
  const writers = startWriters(memory, 0, 2);
  const collapsing = { go: () => void memory.collapse(0, PAGES), stop: async () => memory.release(150, 20) };
  await expectCopyFollows(memory, log, [writers, collapsing], 16);
});

it('works where RAM came by userfaultfd', async () => {
  const memory = openRam();
  const userfaultfd = new native.Userfaultfd(memory);
  onTestFinished(() => userfaultfd.close());
  userfaultfd.register(0, PAGES, false);
  userfaultfd.copy(0, 4, new Uint8Array(4 * PAGE).fill(1), 0);
  expect(() => new native.DirtyLog('userfaultfd', memory)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  userfaultfd.unregister(0, PAGES);
  const log = await beginLog(memory);
  touch(memory, 2, 8);
  expect(pagesIn(await log.collect())).toEqual([2, 8]);
});

it('works in a process that is confined, and that has no rights', async () => {
  const end = await runNode(`
    while (native.keepCapabilities(new Uint32Array(0)) > 0);
    native.refuseCalls();
    const memory = new native.GuestMemory(16 * 4096, 'anonymous');
    memory.write(0, Uint8Array.of(1));
    const log = new native.DirtyLog('userfaultfd', memory);
    (async () => {
      await log.begin();
      memory.write(3 * 4096, Uint8Array.of(1));
      memory.write(0, Uint8Array.of(2));
      console.log([...(await log.collect())].join(' '));
      log.end();
    })();
  `);
  expect(end).toMatchObject({ code: 0, stderr: '', stdout: '0 1 3 1\n' });
});

it('is not to be had of a memfd, whose pages can leave the page table', () => {
  const memory = openRam('memfd');
  expect(() => new native.DirtyLog('userfaultfd', memory)).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }));
  expect(() => new native.DirtyLog('other' as never, memory)).toThrow(RangeError);
});
