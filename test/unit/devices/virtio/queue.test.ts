import { beforeEach, describe, expect, it } from 'vitest';
import {
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../../../src/devices/virtio/features.js';
import { Virtqueue, type QueuePosition } from '../../../../src/devices/virtio/queue.js';
import type { RingAddresses } from '../../../../src/devices/virtio/split-ring.js';
import { QueueError, type DescriptorChain } from '../../../../src/devices/virtio/virtio-device.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { INDIRECT, FakeRings, NEXT, WRITE } from './fake-rings.js';

const SIZE = 8;
const ALL = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
const PLAIN = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC;
const GIB = 2 ** 30;

let ram: FakeRam;
let driver: FakeRings;
let interrupts: number;

beforeEach(() => {
  ram = new FakeRam(5 * GIB);
  driver = new FakeRings(ram, 0x10000, SIZE);
  interrupts = 0;
});

function open(
  features = PLAIN,
  position?: QueuePosition,
  rings: RingAddresses = driver.rings,
  maxSize = 256,
): Virtqueue {
  return new Virtqueue(ram, { rings, maxSize, features, interrupt: () => void interrupts++, position });
}

const text = (value: string): Uint8Array => Buffer.from(value);
const popAll = (queue: Virtqueue): DescriptorChain[] => {
  const chains: DescriptorChain[] = [];
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) chains.push(chain);
  return chains;
};

describe('chains that are set aside', () => {
  it('are not in flight, and are read anew when they are taken up, by another queue as well', () => {
    const queue = open();
    const heads = [1, 2, 3].map((n) => driver.add({ readable: [new Uint8Array(n)], writable: [1] }));
    popAll(queue);
    queue.push(heads[1]!, 1);
    queue.setAside(heads[2]!);
    queue.setAside(heads[0]!);
    queue.signal();
    const there = open(PLAIN, queue.save());
    expect(there.pop()).toBeUndefined();
    const chain = there.takeUp(heads[2]!)!;
    expect([chain.head, chain.readable.map(({ length }) => length)]).toEqual([heads[2], [3]]);
    expect(() => there.save()).toThrow('1 chains are in flight');
    expect(() => there.takeUp(heads[2]!)).toThrow(QueueError);
    there.push(heads[2]!, 1);
    there.takeUp(heads[0]!);
    there.push(heads[0]!, 1);
    there.signal();
    expect(driver.collect().map(({ head }) => head)).toEqual([heads[1], heads[2], heads[0]]);
  });

  it('are nobody’s without a driver, and need a queue that is long enough', () => {
    const queue = open();
    const head = driver.add({ writable: [1] });
    popAll(queue);
    queue.setAside(head);
    expect(() => queue.takeUp(SIZE)).toThrow(QueueError);
    queue.stop();
    expect(queue.takeUp(head)).toBeUndefined();
    queue.setAside(head);
  });
});

describe('chains', () => {
  it('pop gives readable and writable buffers, push returns them at signal', () => {
    const queue = open();
    expect(queue.pop()).toBeUndefined();
    const head = driver.add({ readable: [text('abc'), text('de')], writable: [4, 2] });
    const chain = queue.pop()!;
    expect(chain.head).toBe(head);
    expect(chain.readable.map(({ length }) => length)).toEqual([3, 2]);
    expect(chain.writable.map(({ length }) => length)).toEqual([4, 2]);
    expect(driver.bytes(chain.readable[0]!.ramOffset, 5).toString()).toBe('abcde');
    ram.write(chain.writable[0]!.ramOffset, text('wxyz'));
    queue.push(head, 4);
    expect(driver.collect()).toEqual([]);
    queue.signal();
    expect(driver.collect()).toEqual([{ head, written: 4, bytes: Buffer.from('wxyz') }]);
    expect(interrupts).toBe(1);
    queue.signal();
    expect(interrupts).toBe(1);
  });

  it('indirect tables, alone and behind direct descriptors', () => {
    const queue = open();
    driver.add({ readable: [text('a')], writable: [1, 2, 3], indirect: true });
    expect(queue.pop()).toMatchObject({
      readable: [{ length: 1 }],
      writable: [{ length: 1 }, { length: 2 }, { length: 3 }],
    });
    const table = driver.alloc(32, 1);
    driver.setDescriptor(0, { address: 0x5000, length: 7, flags: NEXT, next: 1 }, table);
    driver.setDescriptor(1, { address: 0x6000, length: 8, flags: WRITE }, table);
    driver.setDescriptor(4, { address: 0x4000, length: 6, flags: NEXT, next: 2 });
    driver.setDescriptor(2, { address: table, length: 32, flags: INDIRECT | WRITE });
    driver.offer(4);
    expect(queue.pop()).toEqual({
      head: 4,
      readable: [
        { ramOffset: 0x4000, length: 6 },
        { ramOffset: 0x5000, length: 7 },
      ],
      writable: [{ ramOffset: 0x6000, length: 8 }],
    });
  });

  it('buffers above the hole', () => {
    const queue = open();
    driver.setDescriptor(0, { address: 4 * GIB, length: GIB, flags: WRITE });
    driver.offer(0);
    driver.setDescriptor(1, { address: 3 * GIB - 2, length: 2 });
    driver.offer(1);
    expect(popAll(queue)).toEqual([
      { head: 0, readable: [], writable: [{ ramOffset: 3 * GIB, length: GIB }] },
      { head: 1, readable: [{ ramOffset: 3 * GIB - 2, length: 2 }], writable: [] },
    ]);
  });

  it('a chain through every descriptor, in any order', () => {
    const queue = open();
    const order = [7, 0, 3, 1, 6, 2, 5, 4];
    order.forEach((index, at) =>
      driver.setDescriptor(index, {
        address: 0x1000 * at,
        length: 1,
        flags: at < 7 ? NEXT : 0,
        next: order[at + 1] ?? 7,
      }),
    );
    driver.offer(7);
    expect(queue.pop()!.readable.map(({ ramOffset }) => ramOffset / 0x1000)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('buffers may be the rings, and one another', () => {
    const queue = open();
    driver.setDescriptor(0, { address: driver.rings.usedRing, length: 16, flags: NEXT | WRITE, next: 1 });
    driver.setDescriptor(1, { address: driver.rings.usedRing, length: 16, flags: WRITE });
    driver.offer(0);
    expect(queue.pop()!.writable.length).toBe(2);
    queue.push(0, 32);
    queue.signal();
  });

  it('return in any order, and the indices wrap at 2^16', () => {
    driver = new FakeRings(ram, 0x10000, SIZE, false, 0xfffc);
    const queue = open(PLAIN, { nextAvailable: 0xfffc, nextUsed: 0xfffc });
    for (let round = 0; round < 5; round++) {
      const heads = [1, 2, 3].map((length) => driver.add({ writable: [length] }));
      const chains = popAll(queue);
      expect(chains.map(({ head }) => head)).toEqual(heads);
      for (const chain of chains.reverse()) queue.push(chain.head, chain.writable[0]!.length);
      queue.signal();
      expect(driver.collect().map(({ written }) => written)).toEqual([3, 2, 1]);
    }
    expect(queue.save()).toEqual({ nextAvailable: 11, nextUsed: 11 });
  });

  it('all of the queue at once, many times around', () => {
    const queue = open();
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < SIZE; n++) driver.add({ writable: [1] });
      for (const { head } of popAll(queue)) queue.push(head, 1);
      queue.signal();
      expect(driver.collect().length).toBe(SIZE);
    }
  });
});

describe('unpop', () => {
  it('gives the same chains again', () => {
    const queue = open();
    const heads = [1, 2, 3].map((length) => driver.add({ writable: [length] }));
    const first = popAll(queue);
    queue.unpop(2);
    heads.push(driver.add({ writable: [4] }));
    expect(popAll(queue).map(({ head }) => head)).toEqual(heads.slice(1));
    queue.unpop(3);
    queue.push(first[0]!.head, 0);
    queue.signal();
    expect(queue.save()).toEqual({ nextAvailable: 1, nextUsed: 1 });
  });

  it('and push() are refused for chains that are not in flight', () => {
    const queue = open();
    driver.add({ writable: [1] });
    const { head } = queue.pop()!;
    expect(() => queue.unpop(2)).toThrow(RangeError);
    queue.pop();
    queue.push(head, 0);
    expect(() => queue.push(head, 0)).toThrow(RangeError);
    expect(() => queue.unpop(1)).toThrow(RangeError);
    expect(() => queue.push(0x10000, 0)).toThrow(RangeError);
  });
});

describe('notifications', () => {
  it('without event indices follow the flags of the available ring', () => {
    const queue = open();
    driver.setFlags(1);
    driver.add({ writable: [1] });
    queue.push(queue.pop()!.head, 0);
    queue.signal();
    expect(interrupts).toBe(0);
    driver.setFlags(0);
    driver.add({ writable: [1] });
    queue.push(queue.pop()!.head, 0);
    queue.signal();
    expect(interrupts).toBe(1);
  });

  it.each([0, 0xfffd])('with event indices come when used_event is passed (from index %i)', (first) => {
    driver = new FakeRings(ram, 0x10000, SIZE, true, first);
    driver.setUsedEvent((first + 3) & 0xffff);
    const queue = open(ALL, { nextAvailable: first, nextUsed: first });
    const seen: number[] = [];
    for (let n = 0; n < 6; n++) {
      driver.add({ writable: [1] });
      queue.push(queue.pop()!.head, 0);
      queue.signal();
      seen.push(interrupts);
    }
    expect(seen).toEqual([0, 0, 0, 1, 1, 1]);
    driver.collect();
    for (let n = 0; n < 3; n++) driver.add({ writable: [1] });
    for (const { head } of popAll(queue)) queue.push(head, 0);
    queue.signal();
    expect(interrupts).toBe(2);
  });

  it.each([0, 0xfffe])('ask for a kick once the queue is empty (from index %i)', (first) => {
    driver = new FakeRings(ram, 0x10000, SIZE, true, first);
    const queue = open(ALL, { nextAvailable: first, nextUsed: first });
    expect(queue.pop()).toBeUndefined();
    expect(driver.availEvent).toBe(first);
    for (let n = 0; n < 3; n++) driver.add({ writable: [1] });
    expect(driver.wantsKick()).toBe(true);
    queue.pop();
    driver.add({ writable: [1] });
    expect(driver.wantsKick()).toBe(false); // not empty yet: the device is at it
    expect(popAll(queue).length).toBe(3);
    driver.add({ writable: [1] });
    expect(driver.wantsKick()).toBe(true);
  });

  it('find what came before the driver could know that a kick is wanted', () => {
    driver = new FakeRings(ram, 0x10000, SIZE, true);
    const queue = open(ALL);
    const write = ram.write.bind(ram);
    ram.write = (offset, bytes) => {
      ram.write = write;
      driver.add({ writable: [9] }); // before avail_event is there
      write(offset, bytes);
    };
    driver.setWord = (address, value) => write(address, Uint8Array.of(value, value >> 8));
    expect(queue.pop()?.writable[0]?.length).toBe(9);
  });
});

describe('save', () => {
  it('in the middle: another queue over the same RAM goes on', () => {
    driver = new FakeRings(ram, 0x10000, SIZE, true);
    const before = open(ALL);
    driver.add({ writable: [1] });
    driver.add({ writable: [2] });
    before.push(before.pop()!.head, 1);
    before.signal();
    before.pop();
    expect(() => before.save()).toThrow('1 chains are in flight');
    before.unpop(1);
    const after = open(ALL, structuredClone(before.save()));
    driver.add({ writable: [3] });
    expect(popAll(after).map(({ writable }) => writable[0]!.length)).toEqual([2, 3]);
    expect(driver.availEvent).toBe(3);
    driver.collect();
    expect(interrupts).toBe(1);
  });

  it('a stopped queue is empty and loses what comes back', () => {
    const queue = open();
    const head = driver.add({ writable: [1] });
    queue.pop();
    driver.add({ writable: [1] });
    queue.stop();
    queue.push(head, 1);
    queue.signal();
    queue.unpop(1);
    expect(queue.pop()).toBeUndefined();
    expect([driver.collect(), interrupts]).toEqual([[], 0]);
  });
});

describe('rings that cannot be', () => {
  it.each([
    [{ size: 0 }, 'queue size'],
    [{ size: 3 }, 'queue size'],
    [{ size: 0.5 }, 'queue size'],
    [{ size: 512 }, 'queue size'],
    [{ descriptorTable: 0x10008 }, 'descriptor table'],
    [{ availableRing: 0x20001 }, 'available ring'],
    [{ usedRing: 0x30002 }, 'used ring'],
    [{ descriptorTable: 3 * GIB - 16 }, 'descriptor table'],
    [{ availableRing: 6 * GIB - 4 }, 'available ring'],
    [{ usedRing: 6 * GIB - 64 }, 'used ring'],
    [{ usedRing: 2 ** 64 - 64 }, 'used ring'],
    [{ descriptorTable: 2 ** 64 - 2048 }, 'descriptor table'],
  ])('%j', (change, message) => {
    expect(() => open(PLAIN, undefined, { ...driver.rings, ...change })).toThrow(QueueError);
    expect(() => open(PLAIN, undefined, { ...driver.rings, ...change })).toThrow(message);
  });

  it('but rings at the very end of RAM can', () => {
    open(PLAIN, undefined, { ...driver.rings, usedRing: 6 * GIB - 72, availableRing: 3 * GIB - 22 });
    open(PLAIN, undefined, { ...driver.rings, size: 1 }, 1);
  });
});

describe('chains that cannot be', () => {
  const table = 0x7001;
  const direct = (index: number, length: number, flags = 0, next = 0): void =>
    driver.setDescriptor(index, { address: 0x4000, length, flags, next });
  const indirect = (index: number, length: number, flags = 0, next = 0): void =>
    driver.setDescriptor(index, { address: 0x4000, length, flags, next }, table);

  it.each<[string, string, () => void]>([
    ['head beyond the table', 'descriptor 8', () => driver.offer(8)],
    ['next beyond the table', 'descriptor 65535', () => (direct(0, 1, NEXT, 0xffff), driver.offer(0))],
    ['a loop of one', 'loops', () => (direct(0, 1, NEXT, 0), driver.offer(0))],
    ['a loop of two', 'loops', () => (direct(0, 1, NEXT, 1), direct(1, 1, NEXT, 0), driver.offer(0))],
    ['no bytes', 'no bytes', () => (direct(0, 0), driver.offer(0))],
    ['readable behind writable', 'readable', () => (direct(0, 1, NEXT | WRITE, 1), direct(1, 1), driver.offer(0))],
    [
      'in the hole',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 3 * GIB, length: 1 }), driver.offer(0)),
    ],
    [
      'into the hole',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 3 * GIB - 1, length: 2 }), driver.offer(0)),
    ],
    [
      'beyond RAM',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 6 * GIB - 1, length: 2 }), driver.offer(0)),
    ],
    [
      'at the end of addresses',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 2n ** 64n - 1n, length: 2 }), driver.offer(0)),
    ],
    [
      'just above 2^53',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 2n ** 53n + 1n, length: 1 }), driver.offer(0)),
    ],
    [
      '4 GiB in all',
      'a chain of',
      () => {
        [0, 1, 2].forEach((index) => direct(index, 2 * GIB - 1, NEXT, index + 1));
        driver.offer(0);
      },
    ],
    ['the same chain twice', 'twice', () => (direct(0, 1), driver.offer(0), driver.offer(0))],
    ['an index that jumps', 'jumps', () => driver.setAvailable(SIZE + 1)],
    ['an index that goes back', 'jumps', () => driver.setAvailable(-1)],
    [
      'an indirect table that is no multiple',
      'indirect table of 24',
      () => (driver.setDescriptor(0, { address: table, length: 24, flags: INDIRECT }), driver.offer(0)),
    ],
    [
      'an empty indirect table',
      'indirect table of 0',
      () => (driver.setDescriptor(0, { address: table, length: 0, flags: INDIRECT }), driver.offer(0)),
    ],
    [
      'an indirect table larger than the queue',
      'indirect table of 144',
      () => (driver.setDescriptor(0, { address: table, length: 144, flags: INDIRECT }), driver.offer(0)),
    ],
    [
      'an indirect table outside of RAM',
      'outside of RAM',
      () => (driver.setDescriptor(0, { address: 6 * GIB - 16, length: 32, flags: INDIRECT }), driver.offer(0)),
    ],
    [
      'indirect and next',
      'behind an indirect',
      () => (driver.setDescriptor(0, { address: table, length: 16, flags: INDIRECT | NEXT }), driver.offer(0)),
    ],
    [
      'indirect in indirect',
      'in an indirect table',
      () => {
        indirect(0, 16, INDIRECT);
        driver.setDescriptor(0, { address: table, length: 16, flags: INDIRECT });
        driver.offer(0);
      },
    ],
    [
      'next beyond an indirect table',
      'descriptor 1 of a table of 1',
      () => {
        indirect(0, 1, NEXT, 1);
        driver.setDescriptor(0, { address: table, length: 16, flags: INDIRECT });
        driver.offer(0);
      },
    ],
    [
      'a loop in an indirect table',
      'loops',
      () => {
        indirect(0, 1, NEXT, 1);
        indirect(1, 1, NEXT, 0);
        driver.setDescriptor(0, { address: table, length: 32, flags: INDIRECT });
        driver.offer(0);
      },
    ],
  ])('%s', (_, message, build) => {
    const queue = open();
    build();
    const act = (): void => void popAll(queue);
    expect(act).toThrow(QueueError);
    expect(() => popAll(open())).toThrow(message);
  });

  it('indirect without the feature', () => {
    driver.add({ writable: [1], indirect: true });
    expect(() => open(VIRTIO_F_VERSION_1).pop()).toThrow('not negotiated');
  });

  it('an index that jumps while chains are in flight, or not shown as returned yet', () => {
    const queue = open();
    for (let n = 0; n < SIZE; n++) driver.add({ writable: [1] });
    const chains = popAll(queue);
    driver.setAvailable(driver.available + 1);
    expect(() => queue.pop()).toThrow('jumps');
    queue.push(chains[0]!.head, 0);
    expect(() => queue.pop()).toThrow('jumps');
    queue.signal();
    expect(queue.pop()?.head).toBe(0);
  });

  it('an index that jumps by nearly 2^16 after an unpop', () => {
    const queue = open();
    driver.add({ writable: [1] });
    queue.pop();
    queue.unpop(1);
    queue.pop();
    driver.setAvailable(0);
    expect(() => queue.pop()).toThrow('jumps');
  });
});
