/** Which pages are written, as KVM's log and userfaultfd tell it of a guest that runs. */
import { describe, expect, it } from 'vitest';
import { native, type NativeVcpu } from '../../../src/native.js';
import {
  beginLog,
  expectAllWaysSeen,
  expectCopyFollows,
  HAS_WRITE_WATCH,
  openRam,
  PAGE,
  pagesIn,
  startWriters,
  touch,
} from '../dirty-logs.js';
import { SCALE } from '../../support/scale.js';
import { PATIENCE_MS } from '../threads.js';
import { createTinyVm } from '../tiny-vm.js';

/** mov byte [0x5000], 1; mov byte [0x7fff], 1; jmp to itself */
const TWO_STORES = [0xc6, 0x06, 0x00, 0x50, 1, 0xc6, 0x06, 0xff, 0x7f, 1, 0xeb, 0xfe];
/** A word to one place after the other from 0x8000 on, in no order: dx = dx * 25173 + 13849; [dx | 0x8000 & 0xfff0] = dx */
const STORES = [
  ...[0x69, 0xd2, 0x55, 0x62, 0x81, 0xc2, 0x19, 0x36, 0x89, 0xd3, 0x81, 0xcb, 0x00, 0x80],
  ...[0x81, 0xe3, 0xf0, 0xff, 0x89, 0x17, 0xeb, 0xea],
];
/** On an emulated host each of many rounds waits for its threads. */
const LONG_MS = 2 * PATIENCE_MS * SCALE;
const GUEST_PAGES = [8, 9, 10, 11, 12, 13, 14, 15];

function park(vcpu: NativeVcpu): void {
  vcpu.requestPause();
  expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
}

it('that of userfaultfd is to be had from Linux 6.7 on', () => {
  const memory = openRam();
  let refusal: unknown;
  try {
    new native.DirtyLog('userfaultfd', memory).end();
  } catch (error) {
    refusal = (error as NodeJS.ErrnoException).code;
  }
  expect(refusal).toBe(HAS_WRITE_WATCH ? undefined : 'EINVAL');
});

const KINDS = HAS_WRITE_WATCH ? (['userfaultfd', 'kvm'] as const) : (['kvm'] as const);

describe.each(KINDS)('a dirty log of a guest, by %s', (kind) => {
  it('tells what a vCPU writes, once', async () => {
    const { memory, vm, vcpus } = createTinyVm(TWO_STORES);
    const log = await beginLog(memory, kind === 'kvm' ? vm : undefined);
    expect(log.kind).toBe(kind);
    expect(pagesIn(await log.collect())).toEqual([]);
    vcpus[0]!.resume();
    const seen: number[] = [];
    while (!seen.includes(5) || !seen.includes(7)) seen.push(...pagesIn(await log.collect()));
    park(vcpus[0]!);
    seen.push(...pagesIn(log.collectNow()));
    expect(seen.sort()).toEqual([5, 7]);
    expect(pagesIn(log.collectNow())).toEqual([]);
  });

  it('misses nothing of what a vCPU and threads write while it is asked', { timeout: LONG_MS }, async () => {
    const { memory, vm, vcpus } = createTinyVm(STORES);
    const log = await beginLog(memory, kind === 'kvm' ? vm : undefined);
    const guest = { go: () => vcpus[0]!.resume(), stop: async () => park(vcpus[0]!) };
    await expectCopyFollows(memory, log, [guest, startWriters(memory, 2, 1)], 16);
    log.end();
    guest.go();
    await guest.stop();
    const again = await beginLog(memory, kind === 'kvm' ? vm : undefined);
    expect(pagesIn(again.collectNow())).toEqual([]);
    const seen = new Set<number>();
    guest.go();
    while (seen.size < GUEST_PAGES.length) pagesIn(await again.collect()).forEach((page) => seen.add(page));
    expect([...seen].sort((a, b) => a - b)).toEqual(GUEST_PAGES);
    await guest.stop();
  });
});

describe('KVM’s dirty log', () => {
  it('is told of every way in which this process writes', { timeout: LONG_MS }, async () => {
    const { memory, vm } = createTinyVm([]);
    await expectAllWaysSeen(memory, await beginLog(memory, vm));
  });

  it('tells of pages that were given back, which can come as zeroes without a write', async () => {
    const { memory, vm } = createTinyVm([]);
    const log = await beginLog(memory, vm);
    memory.release(4, 2);
    expect(pagesIn(await log.collect())).toEqual([4, 5]);
    memory.release(4, 0);
    expect(pagesIn(await log.collect())).toEqual([]);
  });

  it('knows each page of several slots, also where they begin in the middle of a word', async () => {
    const memory = openRam('anonymous', 300);
    const vm = new native.Vm();
    vm.setMemory(0, 0, memory, 0, 70 * PAGE);
    vm.setMemory(1, 1 << 30, memory, 70 * PAGE, 230 * PAGE);
    const log = await beginLog(memory, vm);
    touch(memory, 0, 63, 64, 69, 70, 133, 134, 299);
    expect(pagesIn(await log.collect())).toEqual([0, 63, 64, 69, 70, 133, 134, 299]);
    memory.write(60 * PAGE, new Uint8Array(200 * PAGE));
    expect([...log.collectNow()]).toEqual([60, 200]);
    log.end();
    vm.close();
  });

  it('is one at a time, ends, and is not to be had without KVM', async () => {
    const { memory, vm } = createTinyVm([]);
    const log = await beginLog(memory, vm);
    const other = new native.DirtyLog('kvm', memory, vm);
    await expect(other.begin()).rejects.toThrow(expect.objectContaining({ code: 'EBUSY' }));
    other.end();
    touch(memory, 3);
    expect(pagesIn(await log.collect())).toEqual([3]);
    log.end();
    log.end();
    await expect(log.collect()).rejects.toThrow(expect.objectContaining({ code: 'EBADF' }));
    const ram = openRam('threads');
    const threads = new native.Vm('threads', ram);
    expect(() => new native.DirtyLog('kvm', ram, threads)).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }));
    threads.close();
    expect(() => new native.DirtyLog('kvm', memory, {} as never)).toThrow(TypeError);
  });
});
