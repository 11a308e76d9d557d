import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from '../../../src/devices/virtio/features.js';
import { Virtqueue, type QueuePosition } from '../../../src/devices/virtio/queue.js';
import type { DescriptorChain } from '../../../src/devices/virtio/virtio-device.js';
import { FakeRings } from '../devices/virtio/fake-rings.js';
import { FakeRam } from '../memory/fake-ram.js';
import { fuzz, FUZZ_TIMEOUT_MS } from './fuzz.js';

const SIZE = 8;

/** A driver and a device that both keep to the rules, each asleep until the other tells it of something. */
class Traffic {
  readonly ram = new FakeRam(0x1000000);
  readonly driver: FakeRings;
  queue: Virtqueue;
  /** Heads the driver has added, the device has not seen; and has seen, not returned; and has returned, not collected. */
  readonly added: number[] = [];
  readonly flying: DescriptorChain[] = [];
  readonly returned: number[] = [];
  /** Heads popped since the last of those that were returned. */
  readonly lastPops: number[] = [];
  deviceSleeps = false;
  driverSleeps = false;

  constructor(
    readonly eventIdx: boolean,
    first: number,
  ) {
    this.driver = new FakeRings(this.ram, 0x1000, SIZE, eventIdx, first);
    this.driver.setUsedEvent(first);
    this.queue = this.#open({ nextAvailable: first, nextUsed: first });
  }

  add(readable: number, writable: number, indirect: boolean): void {
    const needed = indirect ? 1 : readable + writable;
    if (needed > SIZE - this.added.length - this.flying.length - this.returned.length) return;
    const bytes = Array.from({ length: readable }, (_, at) => new Uint8Array(at + 1));
    try {
      this.added.push(this.driver.add({ readable: bytes, writable: Array<number>(writable).fill(8), indirect }));
    } catch {
      return; // more descriptors than there are
    }
    if (this.driver.wantsKick()) this.deviceSleeps = false;
  }

  /** The device looks, unless nobody told it to. */
  pop(most: number): void {
    for (let n = 0; n < most && !this.deviceSleeps; n++) {
      const chain = this.queue.pop();
      if (chain === undefined) this.deviceSleeps = true;
      else {
        expect(chain.head).toBe(this.added.shift());
        this.flying.push(chain);
        this.lastPops.push(chain.head);
      }
    }
  }

  unpop(count: number): void {
    const back = this.lastPops.slice(-count);
    this.queue.unpop(back.length);
    this.lastPops.splice(-count, back.length);
    this.flying.splice(0, this.flying.length, ...this.flying.filter(({ head }) => !back.includes(head)));
    this.added.unshift(...back);
    if (back.length > 0) this.deviceSleeps = false;
  }

  push(at: number): void {
    for (const chain of this.flying.splice(at % Math.max(1, this.flying.length), 1)) {
      this.queue.push(chain.head, chain.writable.length > 0 ? 3 : 0);
      this.lastPops.splice(0, this.lastPops.indexOf(chain.head) + 1);
      this.returned.push(chain.head);
    }
  }

  /** The driver looks, unless nobody told it to. */
  collect(): void {
    if (this.driverSleeps) return;
    for (const { head } of this.driver.collect()) expect(head).toBe(this.returned.shift());
    this.driverSleeps = true;
  }

  /** To another host. */
  move(): void {
    while (this.flying.length > 0) this.push(0);
    this.queue.signal();
    this.queue = this.#open(structuredClone(this.queue.save()));
    this.deviceSleeps = false;
  }

  /** Everything ends up with the driver. */
  settle(): void {
    for (let round = 0; round < 3 * SIZE; round++) {
      this.pop(SIZE + 1);
      while (this.flying.length > 0) this.push(0);
      this.queue.signal();
      this.collect();
    }
    expect([this.added, this.flying, this.returned]).toEqual([[], [], []]);
  }

  #open(position: QueuePosition): Virtqueue {
    return new Virtqueue(this.ram, {
      rings: this.driver.rings,
      maxSize: SIZE,
      features: VIRTIO_F_INDIRECT_DESC | (this.eventIdx ? VIRTIO_F_EVENT_IDX : 0n),
      interrupt: () => void (this.driverSleeps = false),
      position,
    });
  }
}

const act: fc.Arbitrary<(traffic: Traffic) => void> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 3 }), fc.boolean()).map(
      ([readable, writable, indirect]) =>
        (traffic: Traffic) =>
          traffic.add(readable, writable, indirect),
    ),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 9 }).map((most) => (traffic: Traffic) => traffic.pop(most)) },
  { weight: 3, arbitrary: fc.nat(7).map((at) => (traffic: Traffic) => traffic.push(at)) },
  fc.integer({ min: 1, max: 3 }).map((count) => (traffic: Traffic) => traffic.unpop(count)),
  { weight: 2, arbitrary: fc.constant((traffic: Traffic) => traffic.queue.signal()) },
  { weight: 2, arbitrary: fc.constant((traffic: Traffic) => traffic.collect()) },
  fc.constant((traffic: Traffic) => traffic.move()),
);

describe('traffic through a virtqueue', () => {
  it(
    'loses no chain, no kick and no interrupt, also while it moves',
    () => {
      const first = fc.oneof(fc.constant(0), fc.integer({ min: 0xffe0, max: 0xffff }));
      fuzz(
        fc.property(fc.array(act, { maxLength: 80, size: 'max' }), fc.boolean(), first, (acts, eventIdx, start) => {
          const traffic = new Traffic(eventIdx, start);
          for (const each of acts) each(traffic);
          traffic.settle();
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});
