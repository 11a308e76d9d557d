import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { VirtioBalloon } from '../../../../src/devices/virtio/balloon/balloon.js';
import { KEEP_PAGES, RELEASE_PAGES, ReportedPages } from '../../../../src/devices/virtio/balloon/page-releaser.js';
import { ramRunsOf, runsOf } from '../../../../src/devices/virtio/balloon/page-runs.js';
import { GIB, MIB, PAGE_SIZE } from '../../../../src/memory/page-size.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { FakeDriver, FakeQueue } from './fake-driver.js';

const [INFLATE, DEFLATE, LINUX_REPORTING, SPEC_REPORTING] = [0, 1, 2, 4];
const RAM_PAGES = (64 * MIB) / PAGE_SIZE;

let ram: FakeRam;
let flag: Int32Array;
let released: [number, number][];
let queues: FakeQueue[];
let driver: FakeDriver;
let balloon: VirtioBalloon;

beforeEach(() => {
  ram = new FakeRam(64 * MIB);
  flag = new Int32Array(new SharedArrayBuffer(4));
  released = [];
  queues = Array.from({ length: 5 }, () => new FakeQueue());
  driver = new FakeDriver(queues);
  balloon = new VirtioBalloon(
    ram,
    new ReportedPages({ release: (first, count) => void released.push([first, count]) }, flag),
  );
  balloon.start(driver);
});

const PFNS_AT = 0x10000;

/** A request with these page frame numbers, to be read in two parts. */
function give(queue: number, pfns: number[]): void {
  const bytes = Buffer.from(Uint32Array.from(pfns).buffer);
  ram.write(PFNS_AT, bytes);
  const length = Math.min(bytes.length, 6);
  const rest = bytes.length - length;
  const readable = [{ ramOffset: PFNS_AT, length }];
  if (rest > 0) readable.push({ ramOffset: PFNS_AT + length, length: rest });
  queues[queue]!.add(readable);
}

describe('inflate', () => {
  it('gives back runs of pages, in whatever order they come', () => {
    give(INFLATE, [102, 101, 100, 7, 300, 301, 103]);
    balloon.process();
    expect(released).toEqual([
      [7, 1],
      [100, 4],
      [300, 2],
    ]);
    expect(queues[INFLATE]).toMatchObject({ used: [[0, 0]], signals: 1 });
  });

  it('passes over duplicates and what is no RAM', () => {
    give(INFLATE, [RAM_PAGES, 5, 5, 0xffffffff, RAM_PAGES - 1, 5, 0xfee00]);
    balloon.process();
    expect(released).toEqual([
      [5, 1],
      [RAM_PAGES - 1, 1],
    ]);
  });

  it('looks at 4096 pages of a request, and leaves the rest', () => {
    const pfns = Uint32Array.from({ length: 5000 }, (_, at) => at + 1000);
    ram.write(PFNS_AT, new Uint8Array(pfns.buffer));
    queues[INFLATE]!.add([
      { ramOffset: PFNS_AT, length: 20_000 },
      ...new Array(100).fill({ ramOffset: 0, length: MIB }),
    ]);
    balloon.process();
    expect(released).toEqual([[1000, 4096]]);
    expect(queues[INFLATE]!.used).toEqual([[0, 0]]);
  });

  it('ignores half a number, and a request that is none', () => {
    ram.write(PFNS_AT, Uint8Array.of(9, 0, 0, 0, 10, 0, 0));
    queues[INFLATE]!.add([{ ramOffset: PFNS_AT, length: 7 }]);
    queues[INFLATE]!.add([], [{ ramOffset: PFNS_AT, length: 4 }]);
    balloon.process();
    expect(released).toEqual([[9, 1]]);
    expect(queues[INFLATE]!.used).toHaveLength(2);
  });
});

it('acknowledges deflation, which needs nothing done', () => {
  give(DEFLATE, [1, 2, 3]);
  balloon.process();
  expect(released).toEqual([]);
  expect(queues[DEFLATE]).toMatchObject({ used: [[0, 0]], signals: 1 });
});

describe('free page reporting', () => {
  it.each([LINUX_REPORTING, SPEC_REPORTING])('on queue %i gives back the pages that are whole', (index) => {
    queues[index]!.add(
      [],
      [
        { ramOffset: 2 * MIB, length: 2 * MIB },
        { ramOffset: PAGE_SIZE + 1, length: 3 * PAGE_SIZE - 1 },
        { ramOffset: 0, length: PAGE_SIZE - 1 },
        { ramOffset: 100, length: 8 },
        { ramOffset: 64 * MIB - PAGE_SIZE, length: PAGE_SIZE },
      ],
    );
    balloon.process();
    expect(released).toEqual([
      [512, 512],
      [2, 2],
      [RAM_PAGES - 1, 1],
    ]);
    expect(queues[index]).toMatchObject({ used: [[0, 0]], signals: 1 });
  });

  it('is no matter of readable buffers', () => {
    queues[LINUX_REPORTING]!.add([{ ramOffset: 0, length: MIB }]);
    balloon.process();
    expect(released).toEqual([]);
  });
});

describe('while the VM arrives', () => {
  it('gives nothing back, and acknowledges all', () => {
    flag[0] = KEEP_PAGES;
    give(INFLATE, [1]);
    queues[LINUX_REPORTING]!.add([], [{ ramOffset: 2 * MIB, length: 2 * MIB }]);
    balloon.process();
    expect(released).toEqual([]);
    expect([queues[INFLATE]!.used, queues[LINUX_REPORTING]!.used]).toEqual([[[0, 0]], [[0, 0]]]);
    flag[0] = RELEASE_PAGES;
    give(INFLATE, [2]);
    balloon.process();
    expect(released).toEqual([[2, 1]]);
  });
});

it('does not ask a kernel that refuses again, and the guest goes on', () => {
  let calls = 0;
  const refusing = new ReportedPages(
    {
      release: () => {
        calls++;
        throw new Error('EINVAL');
      },
    },
    flag,
  );
  balloon = new VirtioBalloon(ram, refusing);
  balloon.start(driver);
  give(INFLATE, [1]);
  give(INFLATE, [2]);
  balloon.process();
  expect(calls).toBe(1);
  expect(queues[INFLATE]!.used).toHaveLength(2);
});

describe('configuration', () => {
  it('tells the driver the size wanted, and takes the size there is', () => {
    balloon.setTarget(0x1234);
    expect(driver.configChanges).toBe(1);
    balloon.writeConfig(4, Uint8Array.of(0x34, 0x12, 0, 0));
    expect(Buffer.from(balloon.config()).toString('hex')).toBe('3412000034120000');
    expect(balloon.actual).toBe(0x1234);
  });

  it('has one field that the driver can write', () => {
    balloon.writeConfig(0, new Uint8Array(16).fill(0xff));
    balloon.writeConfig(4096, Uint8Array.of(1));
    expect(Buffer.from(balloon.config()).toString('hex')).toBe('00000000ffffffff');
  });

  it('takes no target beyond RAM', () => {
    for (const pages of [-1, 1.5, NaN, RAM_PAGES + 1]) expect(() => balloon.setTarget(pages)).toThrow(RangeError);
    balloon.setTarget(RAM_PAGES);
  });

  it('can be told the target before there is a driver', () => {
    balloon.reset();
    balloon.setTarget(1);
    expect(driver.configChanges).toBe(0);
  });
});

describe('state', () => {
  it('moves', () => {
    balloon.setTarget(100);
    balloon.writeConfig(4, Uint8Array.of(50));
    balloon.pause();
    const there = new VirtioBalloon(ram, new ReportedPages({ release: () => undefined }, flag));
    there.restore(JSON.parse(JSON.stringify(balloon.save())));
    expect(there.config()).toEqual(balloon.config());
  });

  it('is checked, and nothing changes if it is none', () => {
    const good = balloon.save();
    for (const state of [undefined, {}, { ...good, version: 2 }, { ...good, actual: -1 }, { ...good, more: 1 }]) {
      expect(() => balloon.restore(state)).toThrow();
    }
    expect(balloon.save()).toEqual(good);
  });
});

describe('runs of pages', () => {
  it('hold each page once, in order, none next to another', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (pages) => {
        const runs = runsOf(Uint32Array.from(pages));
        const listed = runs.flatMap((run) => Array.from({ length: run.count }, (_, at) => run.first + at));
        expect(listed).toEqual([...new Set(pages)].sort((a, b) => a - b));
        for (let at = 1; at < runs.length; at++) {
          expect(runs[at]!.first).toBeGreaterThan(runs[at - 1]!.first + runs[at - 1]!.count);
        }
      }),
    );
  });

  it('are cut where RAM ends, and leave the hole out', () => {
    const [hole, above] = [(3 * GIB) / PAGE_SIZE, (4 * GIB) / PAGE_SIZE];
    const runs = [
      { first: 0, count: 2 },
      { first: hole - 2, count: 5 },
      { first: hole + 10, count: 5 },
      { first: above - 3, count: 5 },
      { first: above + 1000, count: 0xffff_ffff },
    ];
    const ramPages = (5 * GIB) / PAGE_SIZE;
    expect(ramRunsOf(runs, 5 * GIB)).toEqual([
      { first: 0, count: 2 },
      { first: hole - 2, count: 2 },
      { first: hole, count: 2 },
      { first: hole + 1000, count: ramPages - hole - 1000 },
    ]);
  });
});
