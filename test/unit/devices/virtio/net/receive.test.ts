import { describe, expect, it } from 'vitest';
import {
  NET_FEATURES,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_MRG_RXBUF,
} from '../../../../../src/devices/virtio/net/features.js';
import { QueueError } from '../../../../../src/devices/virtio/virtio-device.js';
import { POLLERR, POLLIN } from '../../../../../src/native.js';
import { Rig, frameOf } from './rig.js';

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
      const rig = new Rig(features);
      const chain = rig.receiveq.add([], sizes);
      const frame = frameOf(500, 40);
      rig.start().tap.waiting = [frame];
      rig.turn(POLLIN);
      expect(rig.receiveq.used).toEqual([{ head: chain.head, written: 500 }]);
      expect(rig.receiveq.contents(chain, 500)).toEqual(inGuest(frame));
      expect(rig.receiveq.signals).toBe(1);
    }
  });

  it('goes into as many merged buffers as it takes', () => {
    const rig = new Rig();
    const chains = Array.from({ length: 100 }, () => rig.receiveq.add([], [1000, 500]));
    const frame = frameOf(64_000);
    rig.start().tap.waiting = [frame, frameOf(100)];
    rig.turn(POLLIN);
    const used = chains.slice(0, 43).map(({ head }, i) => ({ head, written: i < 42 ? 1500 : 64_000 - 42 * 1500 }));
    expect(rig.receiveq.used).toEqual([...used, { head: 43, written: 100 }]);
    expect(
      chains
        .slice(0, 43)
        .flatMap((chain) => rig.receiveq.contents(chain))
        .slice(0, 64_000),
    ).toEqual(inGuest(frame, 43));
    expect(rig.receiveq.signals).toBe(1);
  });

  it('goes into tiny merged buffers, its header too', () => {
    const rig = new Rig();
    rig.receiveq.addMany(300, 1);
    const frame = frameOf(74);
    rig.start().tap.waiting = [frame];
    rig.turn(POLLIN);
    expect(rig.receiveq.used).toHaveLength(74);
    expect(rig.receiveq.used.every(({ written }) => written === 1)).toBe(true);
    const at = (head: number) => head * 4; // as fake-queue.ts places them
    const byte = new Uint8Array(1);
    rig.ram.read(at(10), byte);
    expect(byte[0]).toBe(74);
  });

  it('goes into buffers with more pieces than one call takes', () => {
    const rig = new Rig();
    for (let i = 0; i < 8; i++) rig.receiveq.add([], new Array<number>(256).fill(4));
    rig.start().tap.waiting = [frameOf(2000), frameOf(5000), frameOf(500)];
    rig.turn(POLLIN);
    // The second would need more than 1,023 pieces.
    expect(rig.receiveq.used.map(({ written }) => written)).toEqual([1024, 976, 500]);
  });

  it('is lost if the buffers of a driver that does not merge are too small', () => {
    const rig = new Rig(UNMERGED);
    rig.receiveq.addMany(4, 500);
    rig.start().tap.waiting = [frameOf(501), frameOf(500)];
    rig.turn(POLLIN);
    expect(rig.receiveq.used).toEqual([{ head: 0, written: 500 }]);
  });

  it('has no flags for a driver that knows none', () => {
    const rig = new Rig(NET_FEATURES & ~VIRTIO_NET_F_GUEST_CSUM);
    const chain = rig.receiveq.add([], [2000]);
    const frame = frameOf(100);
    frame[0] = 2;
    rig.start().tap.waiting = [frame];
    rig.turn(POLLIN);
    expect(rig.receiveq.contents(chain, 1)).toEqual([0]);
  });

  it('breaks a queue with buffers that cannot be written', () => {
    const rig = new Rig();
    rig.receiveq.add([[1, 2, 3]]);
    expect(() => rig.start()).toThrow(QueueError);
  });
});

describe('the TAP device', () => {
  it('is not read while the driver has no buffers', () => {
    const rig = new Rig().start();
    rig.tap.waiting = [frameOf(100)];
    expect(rig.source.events).toBe(0);
    rig.receiveq.addMany(1, 2000);
    rig.device.process();
    expect(rig.source.events).toBe(POLLIN);
    rig.turn(POLLIN);
    expect(rig.receiveq.used).toHaveLength(1);
    // Nobody can know, before the next frame is read, that there is no room for it.
    rig.turn(POLLIN);
    expect(rig.source.events).toBe(0);
  });

  it('keeps frames, large ones too, until there is room for them', () => {
    const rig = new Rig();
    rig.receiveq.addMany(100, 1500);
    rig.start().tap.waiting = Array.from({ length: 5 }, () => frameOf(60_000));
    rig.turn(POLLIN);
    expect(rig.tap.waiting).toHaveLength(3);
    expect(rig.source.events).toBe(0);
    rig.receiveq.addMany(80, 1500);
    rig.device.process();
    rig.turn(POLLIN);
    expect(rig.tap.waiting).toHaveLength(1);
    rig.receiveq.addMany(40, 1500);
    rig.device.process();
    rig.turn(POLLIN);
    expect(rig.receiveq.used).toHaveLength(5 * 40);
  });

  it('is read for a driver with few buffers that refills when half of them are used', () => {
    const rig = new Rig();
    rig.receiveq.addMany(8, 1500);
    rig.start();
    for (let i = 0; i < 20; i++) {
      rig.tap.waiting.push(frameOf(1000), frameOf(65_000));
      rig.turn(POLLIN);
      rig.turn(POLLIN);
      while (rig.receiveq.inFlight + rig.receiveq.available <= 4) rig.receiveq.addMany(1, 1500);
      rig.device.process();
    }
    expect(rig.tap.waiting.length).toBeLessThan(8);
    expect(rig.receiveq.used.length).toBeGreaterThan(12);
  });

  it('is read in turns with others', () => {
    const rig = new Rig();
    rig.receiveq.addMany(200, 2000);
    rig.start().tap.waiting = Array.from({ length: 150 }, () => frameOf(60));
    rig.turn(POLLIN);
    expect([rig.tap.waiting.length, rig.receiveq.signals]).toEqual([150 - 64, 1]);
    rig.turn(POLLIN);
    rig.turn(POLLIN);
    expect([rig.tap.waiting.length, rig.receiveq.signals]).toEqual([0, 3]);
  });

  it('may be deleted under the guest', () => {
    for (const lose of [(rig: Rig) => rig.turn(POLLIN), (rig: Rig) => rig.source.run(POLLERR)]) {
      const rig = new Rig();
      rig.receiveq.addMany(10, 2000);
      rig.start();
      rig.tap.deleted = true;
      lose(rig);
      expect([rig.source.events, rig.source.fd]).toEqual([0, -1]);
      expect(rig.configChanges).toBe(1);
      expect(rig.device.config()[6]! & 1).toBe(0);
      rig.device.reset();
      rig.start();
    }
  });
});

describe('a pause', () => {
  it('returns all buffers, and the next process() takes them again', () => {
    const rig = new Rig();
    rig.receiveq.addMany(10, 2000);
    rig.start();
    expect(rig.receiveq.inFlight).toBe(10);
    rig.device.pause();
    expect([rig.receiveq.inFlight, rig.receiveq.available, rig.source.events]).toEqual([0, 10, 0]);
    rig.device.process();
    rig.tap.waiting = [frameOf(60)];
    rig.turn(POLLIN);
    expect(rig.receiveq.used).toEqual([{ head: 0, written: 60 }]);
  });
});
