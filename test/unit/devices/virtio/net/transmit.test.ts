import { describe, expect, it } from 'vitest';
import {
  NET_FEATURES,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
} from '../../../../../src/devices/virtio/net/features.js';
import { POLLIN, POLLOUT } from '../../../../../src/native.js';
import { Rig, frameOf } from './rig.js';

function cut(bytes: Uint8Array, ...at: number[]): Uint8Array[] {
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

describe("the guest's frame", () => {
  it.each<[string, number[]]>([
    ['in one buffer', []],
    ['behind its header', [12]],
    ['with a header in two', [3]],
    ['with a header in bytes', Array.from({ length: 12 }, (_, i) => i + 1)],
    ['in many', [5, 13, 14, 60, 61, 200, 499]],
  ])('%s is sent', (_, at) => {
    const rig = new Rig().start();
    const frame = frameOf(500);
    const { head } = rig.transmitq.add(cut(frame, ...at));
    rig.device.process();
    expect(rig.tap.sent).toEqual([[...frame]]);
    expect(rig.transmitq.used).toEqual([{ head, written: 0 }]);
    expect(rig.transmitq.signals).toBe(1);
  });

  it.each<[string, Uint8Array[]]>([
    ['is empty', []],
    ['is less than a header', [frameOf(11)]],
    ['is a header alone', [frameOf(12)]],
    ['is less than an Ethernet header', [frameOf(25)]],
    ['is longer than any', [frameOf(65_563)]],
    ['is in too many pieces', Array.from({ length: 1100 }, () => new Uint8Array(1))],
  ])('that %s is dropped', (_, parts) => {
    const rig = new Rig().start();
    rig.transmitq.add(parts, [16]);
    rig.transmitq.add([frameOf(60)]);
    rig.device.process();
    expect(rig.tap.sent).toHaveLength(1);
    expect(rig.transmitq.used).toEqual([
      { head: 0, written: 0 },
      { head: 1, written: 0 },
    ]);
  });
});

describe('a header', () => {
  /** The header that was sent, if any. */
  function sent(fields: number[], features = NET_FEATURES): number[] | undefined {
    const rig = new Rig(features).start();
    const frame = frameOf(112);
    frame.set(fields);
    rig.transmitq.add([frame]);
    rig.device.process();
    return rig.tap.sent[0]?.slice(0, 12);
  }
  // flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
  const checksum = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0];
  const gso = (type: number, size = 1, flags = 1) => [flags, type, 54, 0, size, 0, 34, 0, 16, 0];

  it('may ask for a checksum, and for segments', () => {
    expect(sent(checksum)).toEqual([...checksum, 0, 0]);
    for (const type of [1, 4, 0x81, 0x84]) expect(sent(gso(type))).toEqual([...gso(type), 0, 0]);
  });

  it('loses what is not for us', () => {
    expect(sent([0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9])).toEqual(new Array(12).fill(0));
  });

  it('may point to the last bytes of the frame, not behind', () => {
    expect(sent([1, 0, 0, 0, 0, 0, 90, 0, 8, 0])).toBeDefined();
    expect(sent([1, 0, 0, 0, 0, 0, 90, 0, 9, 0])).toBeUndefined();
    expect(sent([1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])).toBeUndefined();
    expect(sent([0, 0, 100, 0])).toBeDefined();
    expect(sent([0, 0, 101, 0])).toBeUndefined();
  });

  it.each([
    ['of UDP', gso(3)],
    ['of UDP (USO)', gso(5)],
    ['of nothing, with ECN', gso(0x80)],
    ['of an unknown kind', gso(0x55)],
    ['of no bytes', gso(1, 0)],
    ['without a checksum', gso(1, 1, 0)],
  ])('with segments %s is dropped', (_, fields) => expect(sent(fields)).toBeUndefined());

  it.each([
    [VIRTIO_NET_F_CSUM, checksum],
    [VIRTIO_NET_F_HOST_TSO4, gso(1)],
    [VIRTIO_NET_F_HOST_TSO6, gso(4)],
    [VIRTIO_NET_F_HOST_ECN, gso(0x81)],
  ])('cannot use feature %d if it was not negotiated', (feature, fields) => {
    expect(sent(fields, NET_FEATURES & ~feature)).toBeUndefined();
    expect(sent(fields, NET_FEATURES)).toBeDefined();
  });
});

describe('the TAP device', () => {
  it('that is full is waited for', () => {
    const rig = new Rig().start();
    for (let i = 0; i < 5; i++) rig.transmitq.add([frameOf(60, i)]);
    rig.tap.room = 2;
    rig.device.process();
    expect([rig.transmitq.used.length, rig.transmitq.inFlight, rig.source.events]).toEqual([2, 0, POLLOUT]);
    rig.tap.room = 10;
    rig.turn(POLLOUT | POLLIN);
    expect(rig.tap.sent).toEqual([0, 1, 2, 3, 4].map((i) => [...frameOf(60, i)]));
    expect([rig.transmitq.signals, rig.source.events]).toEqual([2, 0]);
  });

  it('is written to in turns with others', () => {
    const rig = new Rig().start();
    for (let i = 0; i < 100; i++) rig.transmitq.add([frameOf(60)]);
    rig.device.process();
    expect([rig.tap.sent.length, rig.source.events]).toEqual([64, POLLOUT]);
    rig.turn(POLLOUT);
    expect([rig.tap.sent.length, rig.source.events]).toEqual([100, 0]);
  });
});

it('frames that cannot be sent before a pause stay in the queue', () => {
  const rig = new Rig().start();
  for (let i = 0; i < 3; i++) rig.transmitq.add([frameOf(60)]);
  rig.tap.room = 1;
  rig.device.process();
  rig.device.pause();
  expect([rig.transmitq.available, rig.transmitq.inFlight]).toEqual([2, 0]);
});
