import { describe, expect, it } from 'vitest';
import { Bus, type BusDevice } from '../../../src/devices/bus.js';

function recorder(accessBytes: number): BusDevice & { calls: number[][] } {
  const calls: number[][] = [];
  return {
    calls,
    accessBytes,
    read: (offset, size) => (calls.push([offset, size]), 0x10 + offset),
    write: (offset, size, value) => void calls.push([offset, size, value]),
  };
}

describe('Bus', () => {
  it('reads all ones where nobody is', () => {
    const bus = new Bus();
    expect([1, 2, 4].map((size) => bus.read(0x80, size))).toEqual([0xff, 0xffff, 0xffffffff]);
    bus.write(0x80, 4, 1);
  });

  it('splits wide accesses, least significant byte first, and stays in the device', () => {
    const bus = new Bus();
    const [device, next] = [recorder(1), recorder(1)];
    bus.add(0x10, 2, device);
    bus.add(0x12, 1, next);
    expect(bus.read(0x10, 4)).toBe(0xffff1110);
    bus.write(0x11, 4, 0xdeadbeef);
    bus.write(0x0f, 4, 0);
    expect(device.calls).toEqual([
      [1, 1],
      [0, 1],
      [1, 1, 0xef],
    ]);
    expect(next.calls).toEqual([]);
  });

  it('leaves wide accesses whole for those who take them', () => {
    const bus = new Bus();
    const device = recorder(4);
    bus.add(0x10, 4, device);
    bus.write(0x10, 4, 0xdeadbeef);
    bus.read(0x12, 2);
    bus.read(0x13, 2);
    expect(device.calls).toEqual([
      [0, 4, 0xdeadbeef],
      [2, 2],
      [3, 1],
    ]);
  });

  it('refuses two devices in one place', () => {
    const bus = new Bus();
    bus.add(0x10, 4, recorder(1));
    expect(() => bus.add(0x13, 1, recorder(1))).toThrow(RangeError);
    bus.add(0x14, 1, recorder(1));
  });
});
