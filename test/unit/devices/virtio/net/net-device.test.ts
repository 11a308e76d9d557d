import { describe, expect, it } from 'vitest';
import { macBytes, mtuToTell } from '../../../../../src/devices/virtio/net/config-space.js';
import {
  NET_FEATURES,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
} from '../../../../../src/devices/virtio/net/features.js';
import { Rig, frameOf } from './rig.js';

const MAC_BYTES = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OK = 0;
const ERR = 1;

describe('a network device', () => {
  it('has the MAC address, and a link', () => {
    expect([...new Rig().device.config()]).toEqual([...MAC_BYTES, 1, 0, 0, 0, 0, 0]);
    expect(new Rig().device.features).toBe(NET_FEATURES);
  });

  it('tells the MTU of its network, if that is one to tell', () => {
    const { device } = new Rig(NET_FEATURES, 9000);
    expect([...device.config()]).toEqual([...MAC_BYTES, 1, 0, 0, 0, 0x28, 0x23]);
    expect(device.features).toBe(NET_FEATURES | (1n << 3n));
    expect([1279, 1280, 1500, 65535, 65536].map(mtuToTell)).toEqual([0, 1280, 1500, 65535, 0]);
  });

  it('gives nothing to anybody before there is a driver', () => {
    const rig = new Rig();
    rig.tap.waiting = [frameOf(60)];
    expect(rig.source.events).toBe(0);
    rig.start();
    expect(rig.tap.waiting).toEqual([]);
  });

  it.each<[bigint, boolean[]]>([
    [NET_FEATURES, [true, true, true, true]],
    [NET_FEATURES & ~VIRTIO_NET_F_GUEST_CSUM, [false, false, false, false]],
    [VIRTIO_NET_F_GUEST_CSUM, [true, false, false, false]],
    [VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4, [true, true, false, false]],
    [VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN, [true, false, true, true]],
    [VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_ECN, [true, false, false, false]],
  ])('with features %d has the TAP device do what the guest takes', (features, offloads) => {
    expect(new Rig(features).start().tap.offloads).toEqual(offloads);
  });

  it('goes without queues that the driver does not use', () => {
    const rig = new Rig();
    rig.queues.fill(undefined);
    rig.start();
    rig.device.pause();
    expect(rig.source.events).toBe(0);
  });

  it('forgets the driver with a reset', () => {
    const rig = new Rig();
    rig.receiveq.addMany(4, 2000);
    rig.start();
    rig.device.announce();
    rig.device.reset();
    expect(rig.source.events).toBe(0);
    expect(rig.device.config()[6]).toBe(1);
    rig.device.process();
    rig.device.pause();
  });

  it.each(['52:54:00', '52:54:00:12:34:5', '52:54:00:12:34:5x', ''])('has no MAC address %j', (mac) => {
    expect(() => macBytes(mac)).toThrow(RangeError);
  });
});

describe('an announcement', () => {
  it('is a reverse ARP request to all', () => {
    const rig = new Rig().start();
    rig.device.announce();
    const [bytes] = rig.tap.sent;
    expect(bytes).toHaveLength(12 + 60);
    expect(bytes!.slice(0, 12)).toEqual(new Array(12).fill(0));
    expect(bytes!.slice(12)).toEqual([
      ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...MAC_BYTES, 0x80, 0x35],
      ...[0, 1, 8, 0, 6, 4, 0, 3],
      ...[...MAC_BYTES, 0, 0, 0, 0, ...MAC_BYTES, 0, 0, 0, 0],
      ...new Array<number>(18).fill(0),
    ]);
  });

  it('asks the guest for its own until it has done it', () => {
    const rig = new Rig().start();
    rig.device.announce();
    rig.device.announce();
    expect([rig.configChanges, rig.device.config()[6], rig.tap.sent.length]).toEqual([2, 3, 2]);
    expect(command(rig, [3, 0])).toBe(OK);
    expect(rig.device.config()[6]).toBe(1);
  });

  it('is ours alone if the guest cannot', () => {
    for (const rig of [new Rig(NET_FEATURES & ~VIRTIO_NET_F_GUEST_ANNOUNCE).start(), new Rig()]) {
      rig.device.announce();
      expect([rig.configChanges, rig.device.config()[6], rig.tap.sent.length]).toEqual([0, 1, 1]);
    }
  });
});

describe('the control queue', () => {
  it.each<[string, number[], number]>([
    ['an announcement', [3, 0], OK],
    ['an announcement, and more', [3, 0, 1, 2, 3], OK],
    ['another command of that class', [3, 1], ERR],
    ['promiscuous mode', [0, 0, 1], ERR],
    ['queue pairs', [4, 0, 2, 0], ERR],
    ['a class of nobody', [255, 0], ERR],
    ['half a command', [3], ERR],
    ['nothing', [], ERR],
  ])('answers %s', (_, bytes, answer) => expect(command(new Rig().start(), bytes)).toBe(answer));

  it('answers ERR to an announcement that was not negotiated', () => {
    expect(command(new Rig(NET_FEATURES & ~VIRTIO_NET_F_GUEST_ANNOUNCE).start(), [3, 0])).toBe(ERR);
  });

  it('reads commands in pieces, returns what has no room for an answer, and signals once', () => {
    const rig = new Rig().start();
    const chain = rig.controlq.add([[3], [0]], [1, 4]);
    rig.controlq.add([[3, 0]]);
    rig.controlq.add([[9, 9]], [1]);
    rig.device.process();
    expect(rig.controlq.used.map(({ written }) => written)).toEqual([1, 0, 1]);
    expect(rig.controlq.contents(chain, 1)).toEqual([OK]);
    expect(rig.controlq.signals).toBe(1);
  });
});

describe('state', () => {
  it('is what the driver has still to do', () => {
    const source = new Rig().start();
    source.device.announce();
    source.device.pause();
    const state = structuredClone(source.device.save());
    expect(state).toEqual({ version: 1, announce: true });

    const destination = new Rig();
    destination.device.restore(state);
    expect(destination.device.config()[6]).toBe(3);
    expect(destination.device.save()).toEqual(state);
  });

  it('of a driver that has come keeps the frames that wait for it', () => {
    const rig = new Rig();
    rig.device.restore({ version: 1, announce: false });
    rig.tap.waiting = [frameOf(60)];
    rig.start();
    expect(rig.tap.waiting).toHaveLength(1);
    rig.device.reset();
    rig.start();
    expect(rig.tap.waiting).toEqual([]);
  });

  it.each([
    undefined,
    null,
    {},
    { version: 2, announce: false },
    { version: 1, announce: 1 },
    { version: 1, announce: true, x: 1 },
  ])('%j is none', (state) => {
    const rig = new Rig();
    expect(() => rig.device.restore(state)).toThrow();
    expect(rig.device.save()).toEqual({ version: 1, announce: false });
  });
});

/** The answer. */
function command(rig: Rig, bytes: number[]): number {
  const chain = rig.controlq.add([bytes], [1]);
  rig.ram.write(chain.writable[0]!.ramOffset, Uint8Array.of(0xee));
  rig.device.process();
  return rig.controlq.contents(chain)[0]!;
}
