/** Dirty logs for tests of the addon, guest RAM that they are of, and who writes to it. */
import { release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import {
  DISK_READ,
  native,
  type Backing,
  type NativeDirtyLog,
  type NativeMemory,
  type NativeVm,
} from '../../src/native.js';
import { makeImage, openDisk, pattern, run } from './disks.js';
import { freshName, makeBridge, openTap, ourFrame, receiveFrame } from './host-bridge.js';
import { next, startWorker } from './threads.js';

const [major = 0, minor = 0] = release().split('.').map(Number);
/** Whether this kernel can have the log of userfaultfd: Linux 6.7 and later. */
export const HAS_WRITE_WATCH = major > 6 || (major === 6 && minor >= 7);

export const PAGE = 4096;
/** Less than a huge page, so that a page is written alone whatever the host's settings are. */
export const PAGES = 200;

export function openRam(backing: Backing = 'anonymous', pages = PAGES): NativeMemory {
  const memory = new native.GuestMemory(pages * PAGE, backing);
  onTestFinished(() => memory.close());
  return memory;
}

/** `vm`: KVM's log of it, else that of userfaultfd. */
export async function beginLog(memory: NativeMemory, vm?: NativeVm): Promise<NativeDirtyLog> {
  const log = vm ? new native.DirtyLog('kvm', memory, vm) : new native.DirtyLog('userfaultfd', memory);
  onTestFinished(() => log.end());
  await log.begin();
  return log;
}

/** The pages of [first page, pages] pairs, which are ascending and no two of which touch. */
export function pagesIn(pairs: Uint32Array): number[] {
  const pages: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const [first, count] = [pairs[i]!, pairs[i + 1]!];
    if (count === 0 || (i > 0 && first <= pages.at(-1)! + 1)) throw new Error(`bad pairs: ${pairs.join(' ')}`);
    for (let page = first; page < first + count; page++) pages.push(page);
  }
  return pages;
}

/** One byte in each. */
export function touch(memory: NativeMemory, ...pages: number[]): void {
  for (const page of pages) memory.write(page * PAGE + 17, Uint8Array.of(page + 1));
}

export const dataOf = (memory: NativeMemory): number[] => pagesIn(memory.dataExtents(0, memory.bytes / PAGE));

/** Every way in which this process writes into guest RAM is seen, in RAM of 16 pages at least. */
export async function expectAllWaysSeen(memory: NativeMemory, log: NativeDirtyLog): Promise<void> {
  const told = async () => pagesIn(await log.collect());
  await told();
  memory.write(2 * PAGE - 1, Uint8Array.of(1, 2));
  expect(await told()).toEqual([1, 2]);
  memory.write(3 * PAGE, new Uint8Array(0));
  expect(await told()).toEqual([]);

  const code = `new native.GuestMemory(null, data).write(6 * 4096, new Uint8Array(4096).fill(3)); post('done');`;
  await next(startWorker(code, memory.handle));
  expect(await told()).toEqual([6]);

  const disk = openDisk(makeImage(pattern(4 * PAGE)));
  const segments: [number, number][] = [
    [9 * PAGE + 100, PAGE],
    [12 * PAGE, 2 * PAGE],
  ];
  expect(run(disk, DISK_READ, memory, segments, 0)).toBe(0);
  expect(await told()).toEqual([9, 10, 12, 13]);

  const bridge = makeBridge();
  const [a, b] = [openTap(freshName(), bridge), openTap(freshName(), bridge)];
  a.write(ourFrame(1, 7));
  receiveFrame(b, memory);
  expect(await told()).toEqual([0]);
}

/** Threads that write to pages from `first` on, in no order, between go() and stop(). */
export function startWriters(memory: NativeMemory, first: number, count: number): WritersAtWork {
  // How often they were told something, odd while they are to write, -1 to end; then what each has heard.
  const told = new Int32Array(new SharedArrayBuffer((1 + count) * Int32Array.BYTES_PER_ELEMENT));
  const tell = (value: number) => {
    Atomics.store(told, 0, value);
    Atomics.notify(told, 0);
  };
  for (let writer = 1; writer <= count; writer++) {
    startWorker(
      `const { handle, told, writer, first, pages } = data;
       const memory = new native.GuestMemory(null, handle);
       const word = new Uint32Array(1);
       const bytes = new Uint8Array(word.buffer);
       let random = writer;
       for (let now; (now = Atomics.load(told, 0)) !== -1; ) {
         if (now % 2 === 0) {
           Atomics.store(told, writer, now);
           Atomics.wait(told, 0, now);
           continue;
         }
         word[0] = random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
         memory.write((first + (random >>> 8) % pages) * 4096 + writer * 4, bytes);
       }`,
      { handle: memory.handle, told, writer, first, pages: memory.bytes / PAGE - first },
    );
  }
  onTestFinished(() => tell(-1));
  return {
    go: () => tell(told[0]! + 1),
    async stop() {
      const now = told[0]! + 1;
      tell(now);
      while (told.subarray(1).some((heard) => heard !== now)) await delay(1);
    },
  };
}

interface WritersAtWork {
  go(): void;
  /** Resolves when they stand still. */
  stop(): Promise<void>;
}

/**
 * Keeps a copy of RAM by what the log tells, as a destination does: some rounds while all are writing, and one when they stand
 * still, when it gives back what holds no data any more. Then the copy must be RAM's. And so on, `times` times.
 */
export async function expectCopyFollows(
  memory: NativeMemory,
  log: NativeDirtyLog,
  writers: WritersAtWork[],
  times: number,
): Promise<void> {
  const copy = new Uint8Array(memory.bytes);
  const now = new Uint8Array(memory.bytes);
  memory.read(0, copy);
  const follow = (pages: number[]) => {
    for (const page of pages) memory.read(page * PAGE, copy.subarray(page * PAGE, (page + 1) * PAGE));
    return pages.length;
  };
  let followed = 0;
  for (let time = 0; time < times; time++) {
    for (const writer of writers) writer.go();
    for (let round = 0; round <= time % 8; round++) followed += follow(pagesIn(await log.collect()));
    for (const writer of writers) await writer.stop();
    followed += follow(pagesIn(log.collectNow()));
    const holdsData = new Set(dataOf(memory));
    for (let page = 0; page * PAGE < copy.length; page++) {
      if (!holdsData.has(page)) copy.fill(0, page * PAGE, (page + 1) * PAGE);
    }
    memory.read(0, now);
    const missed = pagesThatDiffer(copy, now);
    if (missed.length > 0)
      throw new Error(`after ${time} times, writes to these pages were missed: ${missed.join(' ')}`);
  }
  expect(followed).toBeGreaterThan(times);
}

function pagesThatDiffer(one: Uint8Array, other: Uint8Array): number[] {
  const page = (of: Uint8Array, at: number) => Buffer.from(of.buffer, at * PAGE, PAGE);
  const pages = Array.from({ length: one.length / PAGE }, (_, at) => at);
  return pages.filter((at) => !page(one, at).equals(page(other, at)));
}
