import { describe, expect, it } from 'vitest';
import type { ExitQueue } from '../../../src/native.js';
import { BearableErrors } from '../../../src/machine/bearable-errors.js';
import { ExitDispatch, type DeviceBus, type VcpuStop } from '../../../src/machine/exit-dispatch.js';

/** vcpu, kind, is_write, size as 32 bits, then address and data as 64, little-endian. */
const OUT_BYTE = [
  ...[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
  ...[0xf8, 0x03, 0, 0, 0, 0, 0, 0, 0x41, 0, 0, 0, 0, 0, 0, 0],
];
const IN_DWORD_OF_VCPU_2 = [
  ...[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
  ...[0x08, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const MMIO_WRITE_4 = [
  ...[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0],
  ...[0x10, 0, 0, 0xd0, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0xf2, 0xff, 0xff, 0xff, 0xff],
];
const MMIO_WRITE_8 = [
  ...[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0],
  ...[0x10, 0, 0, 0xd0, 0x01, 0, 0, 0, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12],
];
const MMIO_READ_8 = [
  ...[0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0],
  ...[0x18, 0, 0, 0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
/** KVM_EXIT_INTERNAL_ERROR, suberror 1, on vCPU 3. */
const INTERNAL_ERROR = [
  ...[3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ...[17, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
];
const KVM_RUN_FAILED = [
  ...[0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ...[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0],
];
const UNKNOWN_KIND = [0, 0, 0, 0, 9, ...new Array<number>(27).fill(0)];

function setUp(answers: { port?: number; mmio?: number | bigint } = {}) {
  const log: unknown[][] = [];
  const stops: VcpuStop[] = [];
  const waiting: number[] = [];
  const queue = {
    fd: -1,
    postedFd: -1,
    take(records: Uint8Array): number {
      const bytes = waiting.splice(0, records.length);
      records.set(bytes);
      return bytes.length / 32;
    },
    complete: (...answer: number[]) => void log.push(['complete', ...answer]),
  } satisfies ExitQueue;
  const bus: DeviceBus = {
    portRead: (...access) => (log.push(['portRead', ...access]), answers.port ?? 0),
    portWrite: (...access) => void log.push(['portWrite', ...access]),
    portAnswered: (...access) => void log.push(['portAnswered', ...access]),
    mmioRead: (...access) => (log.push(['mmioRead', ...access]), answers.mmio ?? 0),
    mmioWrite: (...access) => void log.push(['mmioWrite', ...access]),
  };
  const reports: string[] = [];
  const errors = new BearableErrors((text) => reports.push(text));
  const dispatch = new ExitDispatch(queue, bus, (stop) => stops.push(stop), errors);
  const run = (...records: number[][]) => {
    waiting.push(...records.flat());
    dispatch.run();
    return log.splice(0);
  };
  return { run, stops, waiting, queue, bus, reports, dispatch };
}

describe('ExitDispatch', () => {
  it('leads a port write to the bus, and answers nobody', () => {
    expect(setUp().run(OUT_BYTE)).toEqual([['portWrite', 0x3f8, 1, 0x41]]);
  });

  it('answers a port read to the vCPU that asked', () => {
    expect(setUp({ port: 0xfedcba98 }).run(IN_DWORD_OF_VCPU_2)).toEqual([
      ['portRead', 0x608, 4],
      ['complete', 2, 0xfedcba98, 0],
    ]);
  });

  it('tells the bus of a read that was answered already, and answers nobody', () => {
    const record = [...OUT_BYTE];
    [record[4], record[8], record[24]] = [4, 0, 0xc2];
    expect(setUp().run(record)).toEqual([['portAnswered', 0x3f8, 0xc2]]);
  });

  it('answers a port read with 32 unsigned bits, whatever the device says', () => {
    expect(setUp({ port: -1 }).run(IN_DWORD_OF_VCPU_2)[1]).toEqual(['complete', 2, 0xffffffff, 0]);
  });

  it('writes up to four bytes of MMIO as a number, without what lies behind them', () => {
    expect(setUp().run(MMIO_WRITE_4)).toEqual([['mmioWrite', 0xd000_0010, 4, 0xf2345678]]);
  });

  it('writes eight bytes of MMIO as a bigint, also above 4 GiB', () => {
    expect(setUp().run(MMIO_WRITE_8)).toEqual([['mmioWrite', 0x1_d000_0010, 8, 0x1234_5678_9abc_def0n]]);
  });

  it.each<[string, number | bigint, number, number]>([
    ['a bigint', 0x1234_5678_9abc_def0n, 0x9abc_def0, 0x1234_5678],
    ['a number', 0xffff_ffff, 0xffff_ffff, 0],
    ['all ones', -1n, 0xffff_ffff, 0xffff_ffff],
  ])('answers an MMIO read with %s in two halves', (_, mmio, low, high) => {
    expect(setUp({ mmio }).run(MMIO_READ_8)).toEqual([
      ['mmioRead', 0xd000_0018, 8],
      ['complete', 0, low, high],
    ]);
  });

  it('reports a vCPU that cannot go on, and gives it no answer', () => {
    const { run, stops } = setUp();
    expect(run(INTERNAL_ERROR, KVM_RUN_FAILED)).toEqual([]);
    expect(stops).toEqual([
      { vcpu: 3, reason: 17, detail: 1 },
      { vcpu: 0, reason: 0xffffffff, detail: 14 },
    ]);
  });

  it('has a vCPU go on whose access a device fails at, says so some times, and gives up when nothing goes well', () => {
    const { run, bus, reports } = setUp();
    bus.portRead = bus.portWrite = () => {
      throw new RangeError('a bug');
    };
    expect(run(OUT_BYTE, IN_DWORD_OF_VCPU_2)).toEqual([['complete', 2, 0xffffffff, 0xffffffff]]);
    expect(reports[0]).toBe('internal error in a device (access to 0x3f8): a bug; the VM goes on');
    for (let i = 0; i < 200; i++) run(OUT_BYTE, MMIO_WRITE_4);
    expect(reports).toHaveLength(10);
    expect(() => {
      for (let i = 0; i < 200; i++) run(OUT_BYTE);
    }).toThrow('a bug');
  });

  it('takes all in order, and passes over what it does not know', () => {
    const log = setUp().run(OUT_BYTE, UNKNOWN_KIND, MMIO_WRITE_4, IN_DWORD_OF_VCPU_2, OUT_BYTE);
    expect(log.map(([name]) => name)).toEqual(['portWrite', 'mmioWrite', 'portRead', 'complete', 'portWrite']);
  });

  it.each([0, 1, 63, 64, 65, 200])('takes all of %d, a batch at a time, and none twice', (count) => {
    const { run, waiting } = setUp();
    const taken = [run(...new Array<number[]>(count).fill(OUT_BYTE)).length];
    while (waiting.length > 0) taken.push(run().length);
    expect(Math.max(...taken)).toBe(Math.min(count, 64));
    expect(taken.reduce((all, batch) => all + batch)).toBe(count);
    expect(run()).toEqual([]);
  });

  it('drains what parked vCPUs have left, and comes back from a guest that never stops posting', () => {
    const { dispatch, queue, waiting } = setUp();
    waiting.push(...new Array<number[]>(300).fill(OUT_BYTE).flat());
    dispatch.drain();
    expect(waiting).toEqual([]);
    queue.take = (records) => (records.set(OUT_BYTE), records.length / 32);
    dispatch.drain();
  });
});
