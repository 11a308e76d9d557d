import { describe, expect, it } from 'vitest';
import {
  NET_FEATURES,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_MRG_RXBUF,
} from '../../../../../src/devices/virtio/net/features.js';
import { QueueError } from '../../../../../src/devices/virtio/virtio-device.js';
import { POLLERR, POLLIN } from '../../../../../src/native.js';
import { Bench, frameOf } from './bench.js';

const UNMERGED = NET_FEATURES & ~VIRTIO_NET_F_MRG_RXBUF;

/** The frame as the driver finds it: with the number of its buffers. */
function inGuest(frame: Uint8Array, buffers = 1): number[] {
  const bytes = [...frame];
  bytes[10] = buffers & 0xff;
  bytes[11] = buffers >> 8;
  return bytes;
}

describe('a frame from the TAP device', () => {
  it.each<[string, number[]]>([
    ['one buffer', [2000]],
    ['one that is just large enough', [500]],
    ['a header, and data', [12, 1500]],
    ['a header in two', [5, 7, 1500]],
    ['num_buffers in two', [11, 1, 1500]],
    ['bytes', [...new Array<number>(20).fill(1), 600]],
  ])('goes into a chain of %s', (_, sizes) => {
    for (const features of [NET_FEATURES, UNMERGED]) {
      const bench = new Bench(features);
      const chain = bench.receiveq.add([], sizes);
      const frame = frameOf(500, 40);
      bench.start().tap.waiting = [frame];
      bench.turn(POLLIN);
      expect(bench.receiveq.used).toEqual([{ head: chain.head, written: 500 }]);
      expect(bench.receiveq.contents(chain, 500)).toEqual(inGuest(frame));
      expect(bench.receiveq.signals).toBe(1);
    }
  });

  it('goes into as many merged buffers as it takes', () => {
    const bench = new Bench();
    const chains = Array.from({ length: 100 }, () => bench.receiveq.add([], [1000, 500]));
    const frame = frameOf(64_000);
    bench.start().tap.waiting = [frame, frameOf(100)];
    bench.turn(POLLIN);
    const used = chains.slice(0, 43).map(({ head }, i) => ({ head, written: i < 42 ? 1500 : 64_000 - 42 * 1500 }));
    expect(bench.receiveq.used).toEqual([...used, { head: 43, written: 100 }]);
    expect(
      chains
        .slice(0, 43)
        .flatMap((chain) => bench.receiveq.contents(chain))
        .slice(0, 64_000),
    ).toEqual(inGuest(frame, 43));
    expect(bench.receiveq.signals).toBe(1);
  });

  it('goes into tiny merged buffers, its header too', () => {
    const bench = new Bench();
    bench.receiveq.addMany(300, 1);
    const frame = frameOf(74);
    bench.start().tap.waiting = [frame];
    bench.turn(POLLIN);
    expect(bench.receiveq.used).toHaveLength(74);
    expect(bench.receiveq.used.every(({ written }) => written === 1)).toBe(true);
    const at = (head: number) => head * 4; // as fake-queue.ts places them
    const byte = new Uint8Array(1);
    bench.ram.read(at(10), byte);
    expect(byte[0]).toBe(74);
  });

  it('goes into buffers with more pieces than one call takes', () => {
    const bench = new Bench();
    for (let i = 0; i < 8; i++) bench.receiveq.add([], new Array<number>(256).fill(4));
    bench.start().tap.waiting = [frameOf(2000), frameOf(5000), frameOf(500)];
    bench.turn(POLLIN);
    // The second would need more than 1,023 pieces.
    expect(bench.receiveq.used.map(({ written }) => written)).toEqual([1024, 976, 500]);
  });

  it('is lost if the buffers of a driver that does not merge are too small', () => {
    const bench = new Bench(UNMERGED);
    bench.receiveq.addMany(4, 500);
    bench.start().tap.waiting = [frameOf(501), frameOf(500)];
    bench.turn(POLLIN);
    expect(bench.receiveq.used).toEqual([{ head: 0, written: 500 }]);
  });

  it('has no flags for a driver that knows none', () => {
    const bench = new Bench(NET_FEATURES & ~VIRTIO_NET_F_GUEST_CSUM);
    const chain = bench.receiveq.add([], [2000]);
    const frame = frameOf(100);
    frame[0] = 2;
    bench.start().tap.waiting = [frame];
    bench.turn(POLLIN);
    expect(bench.receiveq.contents(chain, 1)).toEqual([0]);
  });

  it('breaks a queue with buffers that cannot be written', () => {
    const bench = new Bench();
    bench.receiveq.add([[1, 2, 3]]);
    expect(() => bench.start()).toThrow(QueueError);
  });
});

describe('the TAP device', () => {
  it('is not read while the driver has no buffers', () => {
    const bench = new Bench().start();
    bench.tap.waiting = [frameOf(100)];
    expect(bench.source.events).toBe(0);
    bench.receiveq.addMany(1, 2000);
    bench.device.process();
    expect(bench.source.events).toBe(POLLIN);
    bench.turn(POLLIN);
    expect(bench.receiveq.used).toHaveLength(1);
    // Nobody can know, before the next frame is read, that there is no room for it.
    bench.turn(POLLIN);
    expect(bench.source.events).toBe(0);
  });

  it('keeps frames, large ones too, until there is room for them', () => {
    const bench = new Bench();
    bench.receiveq.addMany(100, 1500);
    bench.start().tap.waiting = Array.from({ length: 5 }, () => frameOf(60_000));
    bench.turn(POLLIN);
    expect(bench.tap.waiting).toHaveLength(3);
    expect(bench.source.events).toBe(0);
    bench.receiveq.addMany(80, 1500);
    bench.device.process();
    bench.turn(POLLIN);
    expect(bench.tap.waiting).toHaveLength(1);
    bench.receiveq.addMany(40, 1500);
    bench.device.process();
    bench.turn(POLLIN);
    expect(bench.receiveq.used).toHaveLength(5 * 40);
  });

  it('is read for a driver with few buffers that refills when half of them are used', () => {
    const bench = new Bench();
    bench.receiveq.addMany(8, 1500);
    bench.start();
    for (let i = 0; i < 20; i++) {
      bench.tap.waiting.push(frameOf(1000), frameOf(65_000));
      bench.turn(POLLIN);
      bench.turn(POLLIN);
      while (bench.receiveq.inFlight + bench.receiveq.available <= 4) bench.receiveq.addMany(1, 1500);
      bench.device.process();
    }
    expect(bench.tap.waiting.length).toBeLessThan(8);
    expect(bench.receiveq.used.length).toBeGreaterThan(12);
  });

  it('is read in turns with others', () => {
    const bench = new Bench();
    bench.receiveq.addMany(200, 2000);
    bench.start().tap.waiting = Array.from({ length: 150 }, () => frameOf(60));
    bench.turn(POLLIN);
    expect([bench.tap.waiting.length, bench.receiveq.signals]).toEqual([150 - 64, 1]);
    bench.turn(POLLIN);
    bench.turn(POLLIN);
    expect([bench.tap.waiting.length, bench.receiveq.signals]).toEqual([0, 3]);
  });

  it('may be deleted under the guest', () => {
    for (const lose of [(bench: Bench) => bench.turn(POLLIN), (bench: Bench) => bench.source.run(POLLERR)]) {
      const bench = new Bench();
      bench.receiveq.addMany(10, 2000);
      bench.start();
      bench.tap.deleted = true;
      lose(bench);
      expect([bench.source.events, bench.source.fd]).toEqual([0, -1]);
      expect(bench.configChanges).toBe(1);
      expect(bench.device.config()[6]! & 1).toBe(0);
      bench.device.reset();
      bench.start();
    }
  });
});

describe('a pause', () => {
  it('returns all buffers, and the next process() takes them again', () => {
    const bench = new Bench();
    bench.receiveq.addMany(10, 2000);
    bench.start();
    expect(bench.receiveq.inFlight).toBe(10);
    bench.device.pause();
    expect([bench.receiveq.inFlight, bench.receiveq.available, bench.source.events]).toEqual([0, 10, 0]);
    bench.device.process();
    bench.tap.waiting = [frameOf(60)];
    bench.turn(POLLIN);
    expect(bench.receiveq.used).toEqual([{ head: 0, written: 60 }]);
  });
});
