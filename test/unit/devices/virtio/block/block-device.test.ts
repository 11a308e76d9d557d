/** The life of requests and of the device; what each request does is in requests.test.ts. */
import { describe, expect, it } from 'vitest';
import { Deadline } from '../../../../../src/basics/deadline.js';
import { Rig, SECTORS } from './rig.js';
import { SOON } from '../soon.js';

const [IN, OUT, FLUSH] = [0, 1, 4] as const;
const [OK, IOERR] = [0, 1];
const EIO = 5;
const NOT_WRITTEN = 0xee;

const data = (length: number) => Uint8Array.from({ length }, (_, at) => at * 5 + 3);

describe('errors of the disk', () => {
  it('are the guest’s, and the next request goes on', () => {
    const rig = new Rig();
    const [read, write, flush, fine] = [
      rig.add({ type: IN, inBytes: 512 }),
      rig.add({ type: OUT, out: data(512) }),
      rig.add({ type: FLUSH }),
      rig.add({ type: IN, inBytes: 512 }),
    ];
    rig.device.process();
    for (let i = 0; i < 3; i++) rig.disk.end(0, EIO);
    rig.disk.end(0);
    rig.poll();
    expect([read, write, flush, fine].map((head) => rig.status(head))).toEqual([IOERR, IOERR, IOERR, OK]);
    expect(rig.queue.used).toEqual([
      [read, 0],
      [write, 1],
      [flush, 1],
      [fine, 513],
    ]);
  });

  it('also those of submitting', () => {
    const rig = new Rig();
    rig.disk.submitError = Object.assign(new Error('no thread'), { code: 'EAGAIN' });
    expect(rig.run({ type: FLUSH })).toBe(IOERR);
    rig.disk.submitError = undefined;
    expect(rig.run({ type: FLUSH })).toBe(OK);
  });

  it('but no bug of ours', () => {
    const rig = new Rig();
    rig.disk.submitError = new RangeError('bytes outside of the disk');
    expect(() => rig.run({ type: FLUSH })).toThrow(RangeError);
  });
});

describe('errors of the host that stop the guest', () => {
  const ENOSPC = 28;
  const requests = (rig: Rig) => [1, 2, 3].map((sector) => rig.add({ type: OUT, sector, out: data(512) }));
  const untold = (rig: Rig, heads: number[]) => heads.map((head) => rig.status(head));
  const retry = (rig: Rig): void => {
    rig.device.retry();
    while (rig.disk.waiting.length > 0) rig.disk.end(0);
    rig.poll();
  };

  it('want of space does: what failed is kept, what did not is done, nothing else is begun', () => {
    const rig = new Rig({ id: 'root' });
    const heads = requests(rig);
    rig.device.process();
    rig.disk.end(0, ENOSPC);
    rig.disk.end(0);
    rig.disk.end(0, ENOSPC);
    rig.poll();
    const later = rig.add({ type: OUT, sector: 9, out: data(512) });
    rig.device.process();
    expect(rig.stops).toEqual([{ id: 'root', error: 'no space left on device', kept: true }]);
    expect(rig.errorCount.read()).toMatchObject({ count: 2, last: 'no space left on device' });
    expect(untold(rig, [...heads, later])).toEqual([NOT_WRITTEN, OK, NOT_WRITTEN, NOT_WRITTEN]);
    expect([rig.disk.waiting.length, rig.queue.waiting, rig.reports]).toEqual([0, 1, []]);
    retry(rig);
    expect(untold(rig, [...heads, later])).toEqual([OK, OK, OK, OK]);
    expect(rig.disk.content.slice(512, 1024)).toEqual(data(512));
    expect(rig.queue.taken).toEqual([]);
  });

  it('a retry may fail again, and stops it again', () => {
    const rig = new Rig();
    const [head] = requests(rig);
    for (const tries of [1, 2, 3]) {
      if (tries === 1) rig.device.process();
      else rig.device.retry();
      while (rig.disk.waiting.length > 0) rig.disk.end(0, ENOSPC);
      rig.poll();
      expect(rig.stops.length).toBe(tries);
    }
    retry(rig);
    expect(rig.status(head!)).toBe(OK);
  });

  it('with stop every error does, with report none', () => {
    const stops = new Rig({ onError: 'stop' });
    const reports = new Rig({ onError: 'report' });
    for (const [rig, errno] of [
      [stops, EIO],
      [reports, ENOSPC],
    ] as const) {
      rig.add({ type: IN, inBytes: 512 });
      rig.device.process();
      rig.disk.end(0, errno);
      rig.poll();
    }
    expect([stops.stops.length, stops.reports, stops.queue.used]).toEqual([1, [], []]);
    expect([reports.stops, reports.queue.used]).toEqual([[], [[0, 0]]]);
    expect(reports.reports).toEqual([
      "disk disk0: the host has failed a request of the guest's: no space left on device",
    ]);
  });

  it('a flush that failed is no flush when it is done again: the guest is told of it', () => {
    const rig = new Rig();
    const flush = rig.add({ type: FLUSH });
    rig.device.process();
    rig.disk.end(0, ENOSPC);
    rig.poll();
    expect([rig.status(flush), rig.stops]).toEqual([IOERR, [expect.objectContaining({ kept: false })]]);
  });

  it('the operator is told so often, and the rest is counted', () => {
    const rig = new Rig();
    for (let i = 0; i < 30; i++) {
      rig.add({ type: IN, inBytes: 512 });
      rig.device.process();
      rig.disk.end(0, EIO);
      rig.poll();
    }
    expect(rig.reports.length).toBe(10);
    expect(rig.errorCount.read()?.count).toBe(30);
  });

  it('what is kept moves with the guest, and is begun anew there', () => {
    const rig = new Rig();
    const heads = requests(rig);
    rig.device.process();
    rig.disk.end(1, ENOSPC);
    rig.disk.onWaitIdle = () => {
      while (rig.disk.waiting.length > 0) rig.disk.end(0, ENOSPC);
      return true;
    };
    rig.device.pause(SOON);
    expect(rig.queue.taken).toEqual([]);
    const state = rig.device.save();
    expect(state).toMatchObject({ version: 2, setAside: [heads[1], heads[0], heads[2]] });
    const there = new Rig();
    for (const head of requests(there)) {
      there.queue.pop();
      there.queue.setAside(head);
    }
    there.device.restore(state);
    there.device.process();
    expect(there.disk.waiting).toEqual([]);
    retry(there);
    expect(untold(there, heads)).toEqual([OK, OK, OK]);
  });

  it.each([
    ['a head that no queue has', [256]],
    ['one twice', [1, 1]],
    ['none', []],
    ['what is none', ['1']],
  ])('%s is no state', (_, setAside) => {
    const rig = new Rig();
    expect(() => rig.device.restore({ version: 2, id: 'disk0', sectors: SECTORS, setAside })).toThrow();
  });

  it('a reset forgets it', () => {
    const rig = new Rig();
    requests(rig);
    rig.device.process();
    rig.disk.onWaitIdle = () => true;
    while (rig.disk.waiting.length > 0) rig.disk.end(0, ENOSPC);
    rig.poll();
    rig.device.reset();
    rig.device.retry();
    expect([rig.disk.waiting, rig.device.save()]).toEqual([[], { version: 1, id: 'disk0', sectors: SECTORS }]);
  });
});

describe('several in flight', () => {
  it('end in any order, with one interrupt for all of a wake-up', () => {
    const rig = new Rig();
    const heads = [1, 2, 3, 4].map((sector) => rig.add({ type: IN, sector, inBytes: 512 }));
    rig.device.process();
    expect(rig.queue.signals).toBe(0);
    rig.disk.end(2);
    rig.disk.end(0);
    rig.poll();
    expect(rig.queue.used.map(([head]) => head)).toEqual([heads[2], heads[0]]);
    expect(rig.queue.signals).toBe(1);
    rig.disk.end(1);
    rig.disk.end(0);
    rig.poll();
    expect(rig.queue.used.map(([head]) => head)).toEqual([heads[2], heads[0], heads[3], heads[1]]);
    expect(rig.queue.signals).toBe(2);
    for (const [i, head] of heads.entries()) {
      expect(rig.dataIn(head)).toEqual(rig.disk.content.slice((i + 1) * 512, (i + 2) * 512));
    }
    rig.poll();
    expect(rig.queue.signals).toBe(2);
  });

  it('are no more than a queue holds; the rest follows', () => {
    const rig = new Rig();
    for (let i = 0; i < 300; i++) rig.add({ type: FLUSH });
    rig.device.process();
    expect(rig.disk.waiting.length).toBe(256);
    expect(rig.queue.waiting).toBe(44);
    for (let i = 0; i < 10; i++) rig.disk.end(100);
    rig.poll();
    expect(rig.disk.waiting.length).toBe(256);
    while (rig.disk.waiting.length > 0) {
      rig.disk.end(0);
      rig.poll();
    }
    expect(rig.queue.used.length).toBe(300);
    expect(new Set(rig.queue.used.map(([head]) => head)).size).toBe(300);
  });
});

describe('pause', () => {
  it('returns all that is in flight, and syncs', () => {
    const rig = new Rig();
    rig.add({ type: OUT, out: data(512) });
    rig.add({ type: IN, inBytes: 512 });
    rig.device.process();
    rig.device.pause(SOON);
    expect(rig.queue.used).toEqual([
      [0, 1],
      [1, 513],
    ]);
    expect(rig.queue.signals).toBe(1);
    expect(rig.disk.calls).toEqual(['waitIdle', 'sync']);
  });

  it('takes nothing new until process()', () => {
    const rig = new Rig();
    for (let i = 0; i < 257; i++) rig.add({ type: FLUSH });
    rig.device.process();
    rig.device.pause(SOON);
    expect([rig.disk.waiting.length, rig.queue.waiting]).toEqual([0, 1]);
    rig.device.process();
    expect([rig.disk.waiting.length, rig.queue.waiting]).toEqual([1, 0]);
  });

  it('syncs no read-only disk', () => {
    const rig = new Rig({ readonly: true });
    rig.device.pause(SOON);
    expect(rig.disk.calls).toEqual(['waitIdle']);
  });

  it('says which disk does not answer; the guest goes on', () => {
    const rig = new Rig({ id: 'slow' });
    const head = rig.add({ type: FLUSH });
    rig.device.process();
    rig.disk.onWaitIdle = () => false;
    expect(() => rig.device.pause(SOON)).toThrow(/^disk slow: its requests did not end in the time/);
    expect([rig.disk.calls, rig.queue.used]).toEqual([['waitIdle'], []]);
    rig.device.process();
    rig.disk.end(0);
    rig.poll();
    rig.poll();
    expect([rig.status(head), rig.queue.used]).toEqual([OK, [[head, 1]]]);
  });

  it('waits for requests and sync no longer than it may', () => {
    const rig = new Rig({ id: 'slow' });
    rig.disk.syncEnds = false;
    const deadline = Deadline.in(5000);
    expect(() => rig.device.pause(deadline)).toThrow(
      /^disk slow: what the guest wrote was not written back in the time/,
    );
    expect(rig.disk.waits.every((ms) => ms > 0 && ms <= 5000)).toBe(true);
    expect(() => rig.device.pause(new Deadline(deadline.atMicros - 5_000_000))).toThrow();
    expect(rig.disk.waits.slice(-2)).toEqual([0, 0]);
    rig.disk.syncEnds = true;
    rig.device.pause(SOON);
  });

  it('says which disk cannot be written', () => {
    const rig = new Rig({ id: 'bad' });
    rig.disk.syncError = new Error('fdatasync: Input/output error');
    expect(() => rig.device.pause(SOON)).toThrow(/^disk bad: what the guest wrote cannot be written back/);
  });
});

describe('reset', () => {
  it('waits for the disk, and then touches nothing', () => {
    const rig = new Rig();
    const head = rig.add({ type: IN, inBytes: 512 });
    rig.device.process();
    let asked = 0;
    rig.disk.onWaitIdle = () => {
      if (++asked < 3) return false;
      rig.disk.end(0);
      return true;
    };
    rig.device.reset();
    expect(asked).toBe(3);
    expect(rig.status(head)).toBe(NOT_WRITTEN);
    expect(rig.queue.used).toEqual([]);
    rig.device.process();
    rig.poll();
    expect([rig.queue.used, rig.queue.signals]).toEqual([[], 0]);
  });

  it('leaves a device that can be started again', () => {
    const rig = new Rig();
    for (let i = 0; i < 256; i++) rig.add({ type: FLUSH });
    rig.device.process();
    rig.device.reset();
    rig.device.start({ features: 0n, queues: [rig.queue], configChanged: () => {} });
    for (let i = 0; i < 256; i++) rig.add({ type: FLUSH });
    rig.device.process();
    expect(rig.disk.waiting.length).toBe(256);
  });

  it('also before it was ever started, and without a queue', () => {
    const rig = new Rig();
    rig.device.reset();
    rig.device.reset();
    rig.device.start({ features: 0n, queues: [undefined], configChanged: () => {} });
    rig.device.process();
    rig.device.pause(SOON);
  });
});

describe('saved state', () => {
  it('fits the same disk', () => {
    const state = structuredClone(new Rig().device.save());
    expect(state).toEqual({ version: 1, id: 'disk0', sectors: SECTORS });
    new Rig().device.restore(state);
  });

  it.each([
    [undefined],
    [{}],
    [{ version: 2, id: 'disk0', sectors: SECTORS }],
    [{ version: 1, id: 'disk0', sectors: SECTORS, more: 1 }],
    [{ version: 1, id: 'disk1', sectors: SECTORS }],
    [{ version: 1, id: 'disk0', sectors: SECTORS + 1 }],
    [{ version: 1, id: 'disk0', sectors: -1 }],
  ])('%j is refused', (state) => expect(() => new Rig().device.restore(state)).toThrow());
});
