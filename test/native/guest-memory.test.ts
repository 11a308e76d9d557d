import { existsSync, readdirSync, readFileSync, readlinkSync, truncateSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, type Backing, type NativeMemory } from '../../src/native.js';
import { next, runNode, startWorker } from './threads.js';

const PAGE = 4096;
/** Less than a huge page, so that a page is written alone whatever the host's settings are. */
const PAGES = 200;
const HUGE_PAGES = 512;
const BACKINGS: Backing[] = ['anonymous', 'memfd'];

function create(backing: Backing = 'anonymous'): NativeMemory {
  const memory = new native.GuestMemory(PAGES * PAGE, backing);
  onTestFinished(() => memory.close());
  return memory;
}

function touch(memory: NativeMemory, ...pages: number[]): void {
  for (const page of pages) memory.write(page * PAGE + 17, Uint8Array.of(page + 1));
}

/** What a descriptor of this process is of; nothing for one that is closed by now. */
function fileOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function byteOf(memory: NativeMemory, offset: number): number {
  const byte = new Uint8Array(1);
  memory.read(offset, byte);
  return byte[0]!;
}

describe.each(BACKINGS)('GuestMemory, %s', (backing) => {
  it('begins as zeroes, and keeps what is written', () => {
    const memory = create(backing);
    expect([memory.bytes, memory.backing]).toEqual([PAGES * PAGE, backing]);
    const across = new Uint8Array(6).fill(9);
    memory.read(PAGE - 3, across);
    expect([...across]).toEqual([0, 0, 0, 0, 0, 0]);
    memory.write(PAGE - 2, Uint8Array.of(1, 2, 3, 4));
    memory.read(PAGE - 3, across);
    expect([...across]).toEqual([0, 1, 2, 3, 4, 0]);
  });

  it('goes to its last byte, and no further', () => {
    const memory = create(backing);
    const end = PAGES * PAGE;
    memory.write(end - 2, Uint8Array.of(7, 8));
    expect(byteOf(memory, end - 1)).toBe(8);
    memory.read(end, new Uint8Array(0));
    const untouched = Uint8Array.of(5, 5);
    expect(() => memory.read(end - 1, untouched)).toThrow(RangeError);
    expect([...untouched]).toEqual([5, 5]);
    expect(() => memory.write(end - 1, Uint8Array.of(1, 2))).toThrow(RangeError);
    expect(() => memory.write(end + PAGE, new Uint8Array(0))).toThrow(RangeError);
    expect(byteOf(memory, end - 1)).toBe(8);
  });

  it('finds pages that hold data', () => {
    const memory = create(backing);
    expect([...memory.dataExtents(0, PAGES)]).toEqual([]);
    touch(memory, 3, 4, 10, PAGES - 1);
    expect([...memory.dataExtents(0, PAGES)]).toEqual([3, 2, 10, 1, PAGES - 1, 1]);
    expect([...memory.dataExtents(4, 7)]).toEqual([4, 1, 10, 1]);
    expect([...memory.dataExtents(5, 5)]).toEqual([]);
    expect([...memory.dataExtents(PAGES - 1, 1)]).toEqual([PAGES - 1, 1]);
    expect([...memory.dataExtents(4, 0)]).toEqual([]);
    expect([...memory.dataExtents(PAGES, 0)]).toEqual([]);
  });

  it('looks everywhere but at what is known', () => {
    const memory = create(backing);
    touch(memory, 0, 3, 4, 10, PAGES - 1);
    const outside = (...known: number[]) => [...memory.dataExtentsOutside(Uint32Array.of(...known))];
    expect(outside()).toEqual([0, 1, 3, 2, 10, 1, PAGES - 1, 1]);
    expect(outside(4, 7)).toEqual([0, 1, 3, 1, PAGES - 1, 1]);
    expect(outside(0, 1, PAGES - 1, 1)).toEqual([3, 2, 10, 1]);
    expect(outside(0, 3, 3, 1, 11, 1)).toEqual([4, 1, 10, 1, PAGES - 1, 1]);
    expect(outside(0, PAGES)).toEqual([]);
  });

  it.each([[[1]], [[5, 2, 6, 1]], [[5, 1, 4, 1]], [[PAGES - 1, 2]]])('takes no known pages like %j', (known) => {
    const memory = create(backing);
    expect(() => memory.dataExtentsOutside(Uint32Array.from(known))).toThrow(RangeError);
  });

  it('finds pages that hold data on another thread, also for one who has closed it', async () => {
    const memory = create(backing);
    touch(memory, 3, 4, 10);
    const found = memory.findDataExtents();
    memory.close();
    expect([...(await found)]).toEqual([3, 2, 10, 1]);
    expect(() => memory.findDataExtents()).toThrow('used after close()');
  });

  it('finds a page that holds zeroes because the guest wrote them', () => {
    const memory = create(backing);
    memory.write(8 * PAGE, new Uint8Array(PAGE));
    expect([...memory.dataExtents(0, PAGES)]).toEqual([8, 1]);
  });

  it('finds many scattered runs', () => {
    const memory = new native.GuestMemory(6000 * PAGE, backing);
    onTestFinished(() => memory.close());
    // memfd only: anonymous RAM of this size may get huge pages on a host that always gives them.
    const every = backing === 'memfd' ? 2 : 3000;
    const pages = Array.from({ length: 6000 / every }, (_, i) => i * every);
    touch(memory, ...pages);
    const extents = memory.dataExtents(0, 6000);
    const found = new Set<number>();
    for (let i = 0; i < extents.length; i += 2) {
      for (let page = extents[i]!; page < extents[i]! + extents[i + 1]!; page++) found.add(page);
    }
    expect(pages.every((page) => found.has(page))).toBe(true);
    if (backing === 'memfd') expect(found.size).toBe(pages.length);
  });

  it('gives pages back', () => {
    const memory = create(backing);
    touch(memory, 3, 4, 5, 6);
    memory.release(4, 2);
    expect([...memory.dataExtents(0, PAGES)]).toEqual([3, 1, 6, 1]);
    expect([3, 4, 5, 6].map((page) => byteOf(memory, page * PAGE + 17))).toEqual([4, 0, 0, 7]);
    memory.release(6, 0);
    memory.release(PAGES, 0);
    expect(byteOf(memory, 6 * PAGE + 17)).toBe(7);
  });

  it('tells how many pages from one on are alike in reading zero, or not', () => {
    const memory = create(backing);
    touch(memory, 3, 4, 10, PAGES - 1);
    // Written, but with zeroes.
    memory.write(5 * PAGE, new Uint8Array(PAGE));
    const runs = [
      [0, 3, 3],
      [0, PAGES, 3],
      [1, 2, 2],
      [3, PAGES - 3, -2],
      [3, 1, -1],
      [5, PAGES - 5, 5],
      [11, PAGES - 11, PAGES - 12],
      [PAGES - 1, 1, -1],
    ] as const;
    for (const [first, count, run] of runs) expect(memory.zeroRun(first, count), `${first} + ${count}`).toBe(run);
  });

  it.each([0, 1, 7, 8, 9, 2047, PAGE - 8, PAGE - 1])('sees a page that is not zero only at byte %d', (at) => {
    const memory = create(backing);
    memory.write(2 * PAGE + at, Uint8Array.of(0x80));
    expect([memory.zeroRun(0, 5), memory.zeroRun(2, 3), memory.zeroRun(3, 2)]).toEqual([2, -1, 2]);
  });

  it('has no run of no pages', () => {
    const memory = create(backing);
    expect(() => memory.zeroRun(0, 0)).toThrow(RangeError);
    expect(() => memory.zeroRun(PAGES, 0)).toThrow(RangeError);
  });

  it('keeps what pages hold when it puts them together, or cannot', () => {
    const memory = new native.GuestMemory(4 * HUGE_PAGES * PAGE, backing);
    onTestFinished(() => memory.close());
    const pages = [HUGE_PAGES, HUGE_PAGES + 1, 2 * HUGE_PAGES - 2, 3 * HUGE_PAGES];
    touch(memory, ...pages);
    for (const [first, count] of [
      [HUGE_PAGES, HUGE_PAGES],
      [0, 4 * HUGE_PAGES],
      [5, 3],
      [4 * HUGE_PAGES, 0],
    ] as const) {
      expect(memory.collapse(first, count)).toBeTypeOf('boolean');
    }
    expect(pages.map((page) => byteOf(memory, page * PAGE + 17))).toEqual(pages.map((page) => (page + 1) % 256));
    expect([memory.zeroRun(HUGE_PAGES + 2, HUGE_PAGES), memory.zeroRun(0, 1)]).toEqual([HUGE_PAGES - 4, 1]);
  });

  it.each([
    [PAGES, 1],
    [0, PAGES + 1],
    [PAGES - 1, 2],
    [2 ** 40, 1],
    [1, 2 ** 52],
  ])('refuses pages %d + %d', (first, count) => {
    const memory = create(backing);
    expect(() => memory.dataExtents(first, count)).toThrow(RangeError);
    expect(() => memory.release(first, count)).toThrow(RangeError);
    expect(() => memory.zeroRun(first, count)).toThrow(RangeError);
    expect(() => memory.collapse(first, count)).toThrow(RangeError);
  });

  it('is the same memory in another thread', async () => {
    const memory = create(backing);
    touch(memory, 1);
    const worker = startWorker(
      `const memory = new native.GuestMemory(null, data);
       const got = new Uint8Array(1);
       memory.read(${PAGE + 17}, got);
       memory.write(5, Uint8Array.of(99));
       post([got[0], memory.bytes, memory.backing, memory.handle]);`,
      memory.handle,
    );
    expect(await next(worker)).toEqual([2, PAGES * PAGE, backing, memory.handle]);
    expect(byteOf(memory, 5)).toBe(99);
  });
});

it('outlives a page that is lost', () => {
  const memory = new native.GuestMemory(4 * PAGE, 'memfd');
  onTestFinished(() => memory.close());
  memory.write(0, new Uint8Array(4 * PAGE).fill(1));
  // Nothing but hardware makes a page of anonymous RAM fail; one beyond the end of its file does as well.
  const fd = readdirSync('/proc/self/fd').find((name) => fileOf(name).startsWith('/memfd:postcopy-ram'))!;
  truncateSync(`/proc/self/fd/${fd}`, 2 * PAGE);
  const lost = expect.objectContaining({ code: 'EHWPOISON' });
  for (let tries = 0; tries < 3; tries++) {
    expect(() => memory.read(2 * PAGE, new Uint8Array(PAGE))).toThrow(lost);
    expect(() => memory.write(PAGE, new Uint8Array(2 * PAGE))).toThrow(lost);
    expect([memory.zeroRun(2, 2), memory.zeroRun(1, 3), memory.zeroRun(0, 1)]).toEqual([0, 1, -1]);
  }
  expect(() => memory.read(2 * PAGE, new Uint8Array(1))).toThrow('guest RAM, pages 2 to 2');
});

describe('GuestMemory', () => {
  it('does not take a page for data that was only read', () => {
    const memory = create();
    for (let page = 20; page < 30; page++) byteOf(memory, page * PAGE);
    touch(memory, 25);
    expect([...memory.dataExtents(0, PAGES)]).toEqual([25, 1]);
  });

  it('asks the host for huge pages', () => {
    const memory = new native.GuestMemory(8 * HUGE_PAGES * PAGE, 'anonymous');
    onTestFinished(() => memory.close());
    // Its own flags in smaps: neither in a core dump (dd) nor in a child (dc), huge pages if there are any (hg).
    const mappings = readFileSync('/proc/self/smaps', 'latin1').match(/^VmFlags:(?=.* dc\b)(?=.* dd\b).*$/gm) ?? [];
    const hasHugePages = existsSync('/sys/kernel/mm/transparent_hugepage/enabled');
    expect(mappings.length).toBeGreaterThan(0);
    if (hasHugePages) expect(mappings.filter((flags) => !/ hg\b/.test(flags))).toEqual([]);
  });

  it('cannot be used after close(), which may be called again', () => {
    const memory = new native.GuestMemory(PAGE, 'anonymous');
    const { handle } = memory;
    memory.close();
    memory.close();
    expect(() => memory.read(0, new Uint8Array(1))).toThrow('used after close()');
    expect(() => memory.write(0, new Uint8Array(1))).toThrow('used after close()');
    expect(() => memory.dataExtents(0, 1)).toThrow('used after close()');
    expect(() => memory.release(0, 1)).toThrow('used after close()');
    expect(() => memory.zeroRun(0, 1)).toThrow('used after close()');
    expect(() => memory.collapse(0, 1)).toThrow('used after close()');
    expect(() => memory.bytes).toThrow('used after close()');
    expect(() => new native.GuestMemory(null, handle)).toThrow('no such handle');
    expect(() => new native.Userfaultfd(memory)).toThrow('used after close()');
  });

  it('stays while another object refers to it', () => {
    const memory = new native.GuestMemory(PAGE, 'anonymous');
    const other = new native.GuestMemory(null, memory.handle);
    memory.write(0, Uint8Array.of(3));
    memory.close();
    expect(byteOf(other, 0)).toBe(3);
    other.close();
  });

  it('outlives its object and the worker that made it', async () => {
    const worker = startWorker(
      `const memory = new native.GuestMemory(4096, 'anonymous');
       memory.write(7, Uint8Array.of(42));
       post(memory.handle);`,
    );
    const handle = (await next(worker)) as number;
    await worker.terminate();
    const memory = new native.GuestMemory(null, handle);
    onTestFinished(() => memory.close());
    expect(byteOf(memory, 7)).toBe(42);
  });

  it('is not closed by garbage collection', async () => {
    const { code, stdout } = await runNode(
      `const handles = [];
       for (let i = 0; i < 50; i++) {
         const memory = new native.GuestMemory(4096, 'memfd');
         memory.write(0, Uint8Array.of(i));
         handles.push(memory.handle);
       }
       const bytes = new Uint8Array(1);
       setImmediate(() => {
         for (let i = 0; i < 3; i++) gc();
         setImmediate(() => {
           const all = handles.every((handle, i) => {
             new native.GuestMemory(null, handle).read(0, bytes);
             return bytes[0] === i;
           });
           console.log(all);
         });
       });`,
      ['--expose-gc'],
    );
    expect([code, stdout]).toEqual([0, 'true\n']);
  });
});
