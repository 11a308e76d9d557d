/** The life of requests and of the device; what each request does is in requests.test.ts. */
import { describe, expect, it } from 'vitest';
import { Deadline } from '../../../../../src/basics/deadline.js';
import { Bench, SECTORS } from './bench.js';
import { SOON } from '../soon.js';

const [IN, OUT, FLUSH] = [0, 1, 4] as const;
const [OK, IOERR] = [0, 1];
const EIO = 5;
const NOT_WRITTEN = 0xee;

const data = (length: number) => Uint8Array.from({ length }, (_, at) => at * 5 + 3);

describe('errors of the disk', () => {
  it('are the guest’s, and the next request goes on', () => {
    const bench = new Bench();
    const [read, write, flush, fine] = [
      bench.add({ type: IN, inBytes: 512 }),
      bench.add({ type: OUT, out: data(512) }),
      bench.add({ type: FLUSH }),
      bench.add({ type: IN, inBytes: 512 }),
    ];
    bench.device.process();
    for (let i = 0; i < 3; i++) bench.disk.end(0, EIO);
    bench.disk.end(0);
    bench.poll();
    expect([read, write, flush, fine].map((head) => bench.status(head))).toEqual([IOERR, IOERR, IOERR, OK]);
    expect(bench.queue.used).toEqual([
      [read, 0],
      [write, 1],
      [flush, 1],
      [fine, 513],
    ]);
  });

  it('also those of submitting', () => {
    const bench = new Bench();
    bench.disk.submitError = Object.assign(new Error('no thread'), { code: 'EAGAIN' });
    expect(bench.run({ type: FLUSH })).toBe(IOERR);
    bench.disk.submitError = undefined;
    expect(bench.run({ type: FLUSH })).toBe(OK);
  });

  it('but no bug of ours', () => {
    const bench = new Bench();
    bench.disk.submitError = new RangeError('bytes outside of the disk');
    expect(() => bench.run({ type: FLUSH })).toThrow(RangeError);
  });
});

describe('several in flight', () => {
  it('end in any order, with one interrupt for all of a wake-up', () => {
    const bench = new Bench();
    const heads = [1, 2, 3, 4].map((sector) => bench.add({ type: IN, sector, inBytes: 512 }));
    bench.device.process();
    expect(bench.queue.signals).toBe(0);
    bench.disk.end(2);
    bench.disk.end(0);
    bench.poll();
    expect(bench.queue.used.map(([head]) => head)).toEqual([heads[2], heads[0]]);
    expect(bench.queue.signals).toBe(1);
    bench.disk.end(1);
    bench.disk.end(0);
    bench.poll();
    expect(bench.queue.used.map(([head]) => head)).toEqual([heads[2], heads[0], heads[3], heads[1]]);
    expect(bench.queue.signals).toBe(2);
    for (const [i, head] of heads.entries()) {
      expect(bench.dataIn(head)).toEqual(bench.disk.content.slice((i + 1) * 512, (i + 2) * 512));
    }
    bench.poll();
    expect(bench.queue.signals).toBe(2);
  });

  it('are no more than a queue holds; the rest follows', () => {
    const bench = new Bench();
    for (let i = 0; i < 300; i++) bench.add({ type: FLUSH });
    bench.device.process();
    expect(bench.disk.waiting.length).toBe(256);
    expect(bench.queue.waiting).toBe(44);
    for (let i = 0; i < 10; i++) bench.disk.end(100);
    bench.poll();
    expect(bench.disk.waiting.length).toBe(256);
    while (bench.disk.waiting.length > 0) {
      bench.disk.end(0);
      bench.poll();
    }
    expect(bench.queue.used.length).toBe(300);
    expect(new Set(bench.queue.used.map(([head]) => head)).size).toBe(300);
  });
});

describe('pause', () => {
  it('returns all that is in flight, and syncs', () => {
    const bench = new Bench();
    bench.add({ type: OUT, out: data(512) });
    bench.add({ type: IN, inBytes: 512 });
    bench.device.process();
    bench.device.pause(SOON);
    expect(bench.queue.used).toEqual([
      [0, 1],
      [1, 513],
    ]);
    expect(bench.queue.signals).toBe(1);
    expect(bench.disk.calls).toEqual(['waitIdle', 'sync']);
  });

  it('takes nothing new until process()', () => {
    const bench = new Bench();
    for (let i = 0; i < 257; i++) bench.add({ type: FLUSH });
    bench.device.process();
    bench.device.pause(SOON);
    expect([bench.disk.waiting.length, bench.queue.waiting]).toEqual([0, 1]);
    bench.device.process();
    expect([bench.disk.waiting.length, bench.queue.waiting]).toEqual([1, 0]);
  });

  it('syncs no read-only disk', () => {
    const bench = new Bench({ readonly: true });
    bench.device.pause(SOON);
    expect(bench.disk.calls).toEqual(['waitIdle']);
  });

  it('says which disk does not answer; the guest goes on', () => {
    const bench = new Bench({ id: 'slow' });
    const head = bench.add({ type: FLUSH });
    bench.device.process();
    bench.disk.onWaitIdle = () => false;
    expect(() => bench.device.pause(SOON)).toThrow(/^disk slow: its requests did not end in the time/);
    expect([bench.disk.calls, bench.queue.used]).toEqual([['waitIdle'], []]);
    bench.device.process();
    bench.disk.end(0);
    bench.poll();
    bench.poll();
    expect([bench.status(head), bench.queue.used]).toEqual([OK, [[head, 1]]]);
  });

  it('waits for requests and sync no longer than it may', () => {
    const bench = new Bench({ id: 'slow' });
    bench.disk.syncEnds = false;
    const deadline = Deadline.in(5000);
    expect(() => bench.device.pause(deadline)).toThrow(
      /^disk slow: what the guest wrote was not written back in the time/,
    );
    expect(bench.disk.waits.every((ms) => ms > 0 && ms <= 5000)).toBe(true);
    expect(() => bench.device.pause(new Deadline(deadline.atMicros - 5_000_000))).toThrow();
    expect(bench.disk.waits.slice(-2)).toEqual([0, 0]);
    bench.disk.syncEnds = true;
    bench.device.pause(SOON);
  });

  it('says which disk cannot be written', () => {
    const bench = new Bench({ id: 'bad' });
    bench.disk.syncError = new Error('fdatasync: Input/output error');
    expect(() => bench.device.pause(SOON)).toThrow(/^disk bad: what the guest wrote cannot be written back/);
  });
});

describe('reset', () => {
  it('waits for the disk, and then touches nothing', () => {
    const bench = new Bench();
    const head = bench.add({ type: IN, inBytes: 512 });
    bench.device.process();
    let asked = 0;
    bench.disk.onWaitIdle = () => {
      if (++asked < 3) return false;
      bench.disk.end(0);
      return true;
    };
    bench.device.reset();
    expect(asked).toBe(3);
    expect(bench.status(head)).toBe(NOT_WRITTEN);
    expect(bench.queue.used).toEqual([]);
    bench.device.process();
    bench.poll();
    expect([bench.queue.used, bench.queue.signals]).toEqual([[], 0]);
  });

  it('leaves a device that can be started again', () => {
    const bench = new Bench();
    for (let i = 0; i < 256; i++) bench.add({ type: FLUSH });
    bench.device.process();
    bench.device.reset();
    bench.device.start({ features: 0n, queues: [bench.queue], configChanged: () => {} });
    for (let i = 0; i < 256; i++) bench.add({ type: FLUSH });
    bench.device.process();
    expect(bench.disk.waiting.length).toBe(256);
  });

  it('also before it was ever started, and without a queue', () => {
    const bench = new Bench();
    bench.device.reset();
    bench.device.reset();
    bench.device.start({ features: 0n, queues: [undefined], configChanged: () => {} });
    bench.device.process();
    bench.device.pause(SOON);
  });
});

describe('saved state', () => {
  it('fits the same disk', () => {
    const state = structuredClone(new Bench().device.save());
    expect(state).toEqual({ version: 1, id: 'disk0', sectors: SECTORS });
    new Bench().device.restore(state);
  });

  it.each([
    [undefined],
    [{}],
    [{ version: 2, id: 'disk0', sectors: SECTORS }],
    [{ version: 1, id: 'disk0', sectors: SECTORS, more: 1 }],
    [{ version: 1, id: 'disk1', sectors: SECTORS }],
    [{ version: 1, id: 'disk0', sectors: SECTORS + 1 }],
    [{ version: 1, id: 'disk0', sectors: -1 }],
  ])('%j is refused', (state) => expect(() => new Bench().device.restore(state)).toThrow());
});
