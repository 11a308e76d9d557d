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
import { Rig, range, SECTORS } from './rig.js';

const [IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES] = [0, 1, 4, 8, 11, 13] as const;
const [OK, IOERR, UNSUPP] = [0, 1, 2];
const NOT_WRITTEN = 0xee;
const F_RO = 1n << 5n;
const F_FLUSH = 1n << 9n;

const data = (length: number) => Uint8Array.from({ length }, (_, at) => at * 5 + 3);

describe('what it is', () => {
  it('offers what it has', () => {
    const { device } = new Rig();
    expect([device.deviceId, device.queueSizes]).toEqual([2, [256]]);
    // SEG_MAX, BLK_SIZE, FLUSH, DISCARD, WRITE_ZEROES
    expect(device.features).toBe((1n << 2n) | (1n << 6n) | F_FLUSH | (1n << 13n) | (1n << 14n));
    expect(new Rig({ readonly: true }).device.features).toBe((1n << 2n) | F_RO | (1n << 6n) | F_FLUSH);
  });

  it('has the configuration space of 5.2.4', () => {
    const view = (bytes: Uint8Array) => new DataView(bytes.buffer);
    const config = view(new Rig().device.config());
    expect(config.byteLength).toBe(60);
    expect(config.getBigUint64(0, true)).toBe(BigInt(SECTORS));
    expect([8, 12, 16, 20].map((at) => config.getUint32(at, true))).toEqual([0, 254, 0, 512]);
    expect([36, 40, 44, 48, 52].map((at) => config.getUint32(at, true))).toEqual([2 ** 21, 1, 8, 2 ** 17, 1]);
    expect(config.getUint8(56)).toBe(1);
    const readonly = new Rig({ readonly: true }).device.config();
    expect(view(readonly).getBigUint64(0, true)).toBe(BigInt(SECTORS));
    expect(readonly.slice(24).every((byte) => byte === 0)).toBe(true);
  });
});

describe('IN', () => {
  it('reads', () => {
    const rig = new Rig();
    const head = rig.add({ type: IN, sector: 3, inBytes: 1024 });
    rig.device.process();
    expect(rig.queue.used).toEqual([]);
    expect(rig.status(head)).toBe(NOT_WRITTEN);
    rig.disk.end(0);
    rig.poll();
    expect(rig.queue.used).toEqual([[head, 1025]]);
    expect(rig.status(head)).toBe(OK);
    expect(rig.dataIn(head)).toEqual(rig.disk.content.slice(3 * 512, 5 * 512));
    expect(rig.queue.signals).toBe(1);
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
    const rig = new Rig();
    expect(rig.run({ type: IN, sector, inBytes })).toBe(status);
    const written = status === OK || inBytes === 0 ? inBytes + 1 : 0;
    expect(rig.queue.used).toEqual([[0, written]]);
  });
});

describe('OUT', () => {
  it('writes', () => {
    const rig = new Rig();
    expect(rig.run({ type: OUT, sector: 5, out: data(1024) })).toBe(OK);
    expect(rig.disk.content.slice(5 * 512, 7 * 512)).toEqual(data(1024));
    expect(rig.queue.used).toEqual([[0, 1]]);
  });

  it.each([
    [SECTORS - 1, 512, OK],
    [SECTORS - 1, 1024, IOERR],
    [SECTORS, 512, IOERR],
    [2n ** 64n - 1n, 512, IOERR],
    [0, 100, IOERR],
  ])('to sector %d, %d bytes: status %d', (sector, length, status) => {
    expect(new Rig().run({ type: OUT, sector, out: data(length) })).toBe(status);
  });

  it('reaches no read-only disk', () => {
    const rig = new Rig({ readonly: true });
    const before = rig.disk.content.slice();
    expect(rig.run({ type: OUT, out: data(512) })).toBe(IOERR);
    expect(rig.run({ type: DISCARD, out: range(0, 1) })).toBe(IOERR);
    expect(rig.run({ type: WRITE_ZEROES, out: range(0, 1) })).toBe(IOERR);
    expect(rig.run({ type: IN, inBytes: 512 })).toBe(OK);
    expect(rig.run({ type: FLUSH })).toBe(OK);
    expect(rig.disk.content).toEqual(before);
  });

  it('persists at once for a driver that knows no flush', () => {
    for (const [features, kind] of [
      [F_FLUSH, DISK_WRITE],
      [0n, DISK_WRITE_THROUGH],
    ] as const) {
      const rig = new Rig({ features });
      rig.add({ type: OUT, out: data(512) });
      rig.device.process();
      expect(rig.disk.waiting[0]!.kind).toBe(kind);
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
    const rig = new Rig();
    expect(rig.run({ type: OUT, sector: 2, out: data(512), readableCuts })).toBe(OK);
    expect(rig.disk.content.slice(1024, 1536)).toEqual(data(512));
  });

  it.each([
    ['the status alone', [512, 1]],
    ['the status with data', [511, 2]],
    ['the status with nearly all', [1, 512]],
    ['all in one', [513]],
    ['three', [256, 256, 1]],
    ['bytes', [...new Array<number>(250).fill(1), 263]],
  ])('IN, %s', (_, writableCuts) => {
    const rig = new Rig();
    expect(rig.run({ type: IN, sector: 2, writableCuts })).toBe(OK);
    expect(rig.dataIn(0)).toEqual(rig.disk.content.slice(1024, 1536));
    expect(rig.queue.used).toEqual([[0, 513]]);
  });

  it('a range too', () => {
    for (const readableCuts of [[16, 16], [20, 12], new Array<number>(32).fill(1)]) {
      const rig = new Rig();
      expect(rig.run({ type: WRITE_ZEROES, out: range(4, 2), readableCuts })).toBe(OK);
      expect(rig.disk.content.slice(2048, 3072).every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe('GET_ID', () => {
  const text = (rig: Rig) => Buffer.from(rig.dataIn(0)).toString('latin1');

  it('gives the id, with NULs up to 20 bytes', () => {
    const rig = new Rig({ id: 'root' });
    expect(rig.run({ type: GET_ID, inBytes: 20 })).toBe(OK);
    expect(text(rig)).toBe('root' + '\0'.repeat(16));
    expect(rig.queue.used).toEqual([[0, 21]]);
    expect(rig.queue.signals).toBe(1);
  });

  it('has no NUL when it is full', () => {
    const rig = new Rig({ id: 'a'.repeat(20) });
    rig.run({ type: GET_ID, inBytes: 20 });
    expect(text(rig)).toBe('a'.repeat(20));
  });

  it('fills what room there is', () => {
    const rig = new Rig({ id: 'root' });
    expect(rig.run({ type: GET_ID, writableCuts: [2, 1, 1] })).toBe(OK);
    expect(text(rig)).toBe('roo');
    const longer = new Rig({ id: 'root' });
    longer.run({ type: GET_ID, inBytes: 30 });
    expect(longer.queue.used).toEqual([[0, 20]]);
    expect(new Rig().run({ type: GET_ID })).toBe(OK);
  });
});

describe('FLUSH, DISCARD, WRITE_ZEROES', () => {
  it('flushes', () => {
    const rig = new Rig();
    rig.add({ type: FLUSH });
    rig.device.process();
    expect(rig.disk.waiting).toEqual([
      { id: expect.any(Number), kind: DISK_FLUSH, segments: [], offset: 0, length: 0 },
    ]);
    rig.disk.end(0);
    rig.poll();
    expect(rig.queue.used).toEqual([[0, 1]]);
  });

  it.each([
    ['DISCARD', DISCARD, 0, DISK_DISCARD],
    ['WRITE_ZEROES', WRITE_ZEROES, 0, DISK_WRITE_ZEROES],
    ['WRITE_ZEROES, unmapping', WRITE_ZEROES, 1, DISK_WRITE_ZEROES_UNMAP],
  ])('%s: the range, as bytes', (_, type, flags, kind) => {
    const rig = new Rig();
    rig.add({ type, out: range(7, 9, flags) });
    rig.device.process();
    expect(rig.disk.waiting).toMatchObject([{ kind, segments: [], offset: 7 * 512, length: 9 * 512 }]);
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
    for (const type of [DISCARD, WRITE_ZEROES]) expect(new Rig().run({ type, out })).toBe(status);
  });

  it('a discard does not unmap', () => {
    expect(new Rig().run({ type: DISCARD, out: range(0, 1, 1) })).toBe(UNSUPP);
  });
});

it.each([2, 3, 5, 7, 10, 14, 16, 0x80000000, 0xffffffff])('type %d is not supported', (type) => {
  const rig = new Rig();
  expect(rig.run({ type, inBytes: 512 })).toBe(UNSUPP);
  expect(rig.queue.used).toEqual([[0, 0]]);
});

describe('what is no request', () => {
  it.each([
    ['no header', [], [1]],
    ['half a header', [15], [1]],
    ['no room for the status', [16], []],
    ['nothing', [], []],
  ])('%s breaks the queue', (_, readable, writable) => {
    const rig = new Rig();
    rig.addChain(rig.segments(readable), rig.segments(writable));
    expect(() => rig.device.process()).toThrow(QueueError);
  });

  it('more segments than the queue has descriptors', () => {
    const rig = new Rig();
    rig.add({ type: IN, writableCuts: [...new Array<number>(512).fill(1), 1] });
    expect(() => rig.device.process()).toThrow(QueueError);
  });
});
