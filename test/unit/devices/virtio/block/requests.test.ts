import { describe, expect, it } from 'vitest';
import { QueueError } from '../../../../../src/devices/virtio/virtio-device.js';
import {
  DISK_DISCARD,
  DISK_FLUSH,
  DISK_WRITE,
  DISK_WRITE_THROUGH,
  DISK_WRITE_ZEROES,
  DISK_WRITE_ZEROES_UNMAP,
} from '../../../../../src/native.js';
import { Bench, range, SECTORS } from './bench.js';

const [IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES] = [0, 1, 4, 8, 11, 13] as const;
const [OK, IOERR, UNSUPP] = [0, 1, 2];
const NOT_WRITTEN = 0xee;
const F_RO = 1n << 5n;
const F_FLUSH = 1n << 9n;

const data = (length: number) => Uint8Array.from({ length }, (_, at) => at * 5 + 3);

describe('what it is', () => {
  it('offers what it has', () => {
    const { device } = new Bench();
    expect([device.deviceId, device.queueSizes]).toEqual([2, [256]]);
    // SEG_MAX, BLK_SIZE, FLUSH, DISCARD, WRITE_ZEROES
    expect(device.features).toBe((1n << 2n) | (1n << 6n) | F_FLUSH | (1n << 13n) | (1n << 14n));
    expect(new Bench({ readonly: true }).device.features).toBe((1n << 2n) | F_RO | (1n << 6n) | F_FLUSH);
  });

  it('has the configuration space of 5.2.4', () => {
    const view = (bytes: Uint8Array) => new DataView(bytes.buffer);
    const config = view(new Bench().device.config());
    expect(config.byteLength).toBe(60);
    expect(config.getBigUint64(0, true)).toBe(BigInt(SECTORS));
    expect([8, 12, 16, 20].map((at) => config.getUint32(at, true))).toEqual([0, 254, 0, 512]);
    expect([36, 40, 44, 48, 52].map((at) => config.getUint32(at, true))).toEqual([2 ** 21, 1, 8, 2 ** 17, 1]);
    expect(config.getUint8(56)).toBe(1);
    const readonly = new Bench({ readonly: true }).device.config();
    expect(view(readonly).getBigUint64(0, true)).toBe(BigInt(SECTORS));
    expect(readonly.slice(24).every((byte) => byte === 0)).toBe(true);
  });
});

describe('IN', () => {
  it('reads', () => {
    const bench = new Bench();
    const head = bench.add({ type: IN, sector: 3, inBytes: 1024 });
    bench.device.process();
    expect(bench.queue.used).toEqual([]);
    expect(bench.status(head)).toBe(NOT_WRITTEN);
    bench.disk.end(0);
    bench.poll();
    expect(bench.queue.used).toEqual([[head, 1025]]);
    expect(bench.status(head)).toBe(OK);
    expect(bench.dataIn(head)).toEqual(bench.disk.content.slice(3 * 512, 5 * 512));
    expect(bench.queue.signals).toBe(1);
  });

  it.each([
    [0, 512, OK],
    [SECTORS - 1, 512, OK],
    [SECTORS - 2, 1024, OK],
    [0, SECTORS * 512, OK],
    [SECTORS, 0, OK],
    [SECTORS - 1, 1024, IOERR],
    [SECTORS, 512, IOERR],
    [SECTORS + 1, 0, IOERR],
    [2n ** 55n, 512, IOERR],
    [2n ** 63n, 512, IOERR],
    [2n ** 64n - 1n, 512, IOERR],
    [0, 511, IOERR],
    [0, 513, IOERR],
    [0, 1, IOERR],
  ])('from sector %d, %d bytes: status %d', (sector, inBytes, status) => {
    const bench = new Bench();
    expect(bench.run({ type: IN, sector, inBytes })).toBe(status);
    const written = status === OK || inBytes === 0 ? inBytes + 1 : 0;
    expect(bench.queue.used).toEqual([[0, written]]);
  });
});

describe('OUT', () => {
  it('writes', () => {
    const bench = new Bench();
    expect(bench.run({ type: OUT, sector: 5, out: data(1024) })).toBe(OK);
    expect(bench.disk.content.slice(5 * 512, 7 * 512)).toEqual(data(1024));
    expect(bench.queue.used).toEqual([[0, 1]]);
  });

  it.each([
    [SECTORS - 1, 512, OK],
    [SECTORS - 1, 1024, IOERR],
    [SECTORS, 512, IOERR],
    [2n ** 64n - 1n, 512, IOERR],
    [0, 100, IOERR],
  ])('to sector %d, %d bytes: status %d', (sector, length, status) => {
    expect(new Bench().run({ type: OUT, sector, out: data(length) })).toBe(status);
  });

  it('reaches no read-only disk', () => {
    const bench = new Bench({ readonly: true });
    const before = bench.disk.content.slice();
    expect(bench.run({ type: OUT, out: data(512) })).toBe(IOERR);
    expect(bench.run({ type: DISCARD, out: range(0, 1) })).toBe(IOERR);
    expect(bench.run({ type: WRITE_ZEROES, out: range(0, 1) })).toBe(IOERR);
    expect(bench.run({ type: IN, inBytes: 512 })).toBe(OK);
    expect(bench.run({ type: FLUSH })).toBe(OK);
    expect(bench.disk.content).toEqual(before);
  });

  it('persists at once for a driver that knows no flush', () => {
    for (const [features, kind] of [
      [F_FLUSH, DISK_WRITE],
      [0n, DISK_WRITE_THROUGH],
    ] as const) {
      const bench = new Bench({ features });
      bench.add({ type: OUT, out: data(512) });
      bench.device.process();
      expect(bench.disk.waiting[0]!.kind).toBe(kind);
    }
  });
});

describe('wherever the borders of the buffers are', () => {
  const cuts = [
    ...Array.from({ length: 20 }, (_, i) => [i + 1, 527 - i]),
    [...new Array<number>(17).fill(1), 511],
    [1, 15, 1, 511],
  ];
  it.each(cuts.map((lengths) => [lengths]))('OUT, cut into %j', (readableCuts) => {
    const bench = new Bench();
    expect(bench.run({ type: OUT, sector: 2, out: data(512), readableCuts })).toBe(OK);
    expect(bench.disk.content.slice(1024, 1536)).toEqual(data(512));
  });

  it.each([
    ['the status alone', [512, 1]],
    ['the status with data', [511, 2]],
    ['the status with nearly all', [1, 512]],
    ['all in one', [513]],
    ['three', [256, 256, 1]],
    ['bytes', [...new Array<number>(250).fill(1), 263]],
  ])('IN, %s', (_, writableCuts) => {
    const bench = new Bench();
    expect(bench.run({ type: IN, sector: 2, writableCuts })).toBe(OK);
    expect(bench.dataIn(0)).toEqual(bench.disk.content.slice(1024, 1536));
    expect(bench.queue.used).toEqual([[0, 513]]);
  });

  it('a range too', () => {
    for (const readableCuts of [[16, 16], [20, 12], new Array<number>(32).fill(1)]) {
      const bench = new Bench();
      expect(bench.run({ type: WRITE_ZEROES, out: range(4, 2), readableCuts })).toBe(OK);
      expect(bench.disk.content.slice(2048, 3072).every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe('GET_ID', () => {
  const text = (bench: Bench) => Buffer.from(bench.dataIn(0)).toString('latin1');

  it('gives the id, with NULs up to 20 bytes', () => {
    const bench = new Bench({ id: 'root' });
    expect(bench.run({ type: GET_ID, inBytes: 20 })).toBe(OK);
    expect(text(bench)).toBe('root' + '\0'.repeat(16));
    expect(bench.queue.used).toEqual([[0, 21]]);
    expect(bench.queue.signals).toBe(1);
  });

  it('has no NUL when it is full', () => {
    const bench = new Bench({ id: 'a'.repeat(20) });
    bench.run({ type: GET_ID, inBytes: 20 });
    expect(text(bench)).toBe('a'.repeat(20));
  });

  it('fills what room there is', () => {
    const bench = new Bench({ id: 'root' });
    expect(bench.run({ type: GET_ID, writableCuts: [2, 1, 1] })).toBe(OK);
    expect(text(bench)).toBe('roo');
    const longer = new Bench({ id: 'root' });
    longer.run({ type: GET_ID, inBytes: 30 });
    expect(longer.queue.used).toEqual([[0, 20]]);
    expect(new Bench().run({ type: GET_ID })).toBe(OK);
  });
});

describe('FLUSH, DISCARD, WRITE_ZEROES', () => {
  it('flushes', () => {
    const bench = new Bench();
    bench.add({ type: FLUSH });
    bench.device.process();
    expect(bench.disk.waiting).toEqual([
      { id: expect.any(Number), kind: DISK_FLUSH, segments: [], offset: 0, length: 0 },
    ]);
    bench.disk.end(0);
    bench.poll();
    expect(bench.queue.used).toEqual([[0, 1]]);
  });

  it.each([
    ['DISCARD', DISCARD, 0, DISK_DISCARD],
    ['WRITE_ZEROES', WRITE_ZEROES, 0, DISK_WRITE_ZEROES],
    ['WRITE_ZEROES, unmapping', WRITE_ZEROES, 1, DISK_WRITE_ZEROES_UNMAP],
  ])('%s: the range, as bytes', (_, type, flags, kind) => {
    const bench = new Bench();
    bench.add({ type, out: range(7, 9, flags) });
    bench.device.process();
    expect(bench.disk.waiting).toMatchObject([{ kind, segments: [], offset: 7 * 512, length: 9 * 512 }]);
  });

  it.each([
    ['all', range(0, SECTORS), OK],
    ['nothing, at the end', range(SECTORS, 0), OK],
    ['the last sector', range(SECTORS - 1, 1), OK],
    ['one more', range(SECTORS - 1, 2), IOERR],
    ['behind the end', range(SECTORS, 1), IOERR],
    ['the last sector of all', range(2n ** 64n - 1n, 2), IOERR],
    ['more than the limits', range(0, 0xffffffff), IOERR],
    ['with a flag that nobody knows', range(0, 1, 2), UNSUPP],
    ['with another', range(0, 1, 0x80000000), UNSUPP],
    ['that is missing', new Uint8Array(0), IOERR],
    ['too short', new Uint8Array(15), IOERR],
    ['too long', new Uint8Array(17), IOERR],
    ['that is two', new Uint8Array(32), IOERR],
  ])('a range: %s', (_, out, status) => {
    for (const type of [DISCARD, WRITE_ZEROES]) expect(new Bench().run({ type, out })).toBe(status);
  });

  it('a discard does not unmap', () => {
    expect(new Bench().run({ type: DISCARD, out: range(0, 1, 1) })).toBe(UNSUPP);
  });
});

it.each([2, 3, 5, 7, 10, 14, 16, 0x80000000, 0xffffffff])('type %d is not supported', (type) => {
  const bench = new Bench();
  expect(bench.run({ type, inBytes: 512 })).toBe(UNSUPP);
  expect(bench.queue.used).toEqual([[0, 0]]);
});

describe('what is no request', () => {
  it.each([
    ['no header', [], [1]],
    ['half a header', [15], [1]],
    ['no room for the status', [16], []],
    ['nothing', [], []],
  ])('%s breaks the queue', (_, readable, writable) => {
    const bench = new Bench();
    bench.addChain(bench.segments(readable), bench.segments(writable));
    expect(() => bench.device.process()).toThrow(QueueError);
  });

  it('more segments than the queue has descriptors', () => {
    const bench = new Bench();
    bench.add({ type: IN, writableCuts: [...new Array<number>(512).fill(1), 1] });
    expect(() => bench.device.process()).toThrow(QueueError);
  });
});
