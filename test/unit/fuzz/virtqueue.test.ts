import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from '../../../src/devices/virtio/features.js';
import { Virtqueue } from '../../../src/devices/virtio/queue.js';
import { segmentsLength } from '../../../src/devices/virtio/segment.js';
import { QueueError, type DescriptorChain } from '../../../src/devices/virtio/virtio-device.js';
import { FakeRings } from '../devices/virtio/fake-rings.js';
import { FakeRam } from '../memory/fake-ram.js';
import { fuzz, FUZZ_TIMEOUT_MS } from './fuzz.js';

const GIB = 2 ** 30;
const START = 0x1000;
/** Two regions: 3 GiB, and a little above 4 GiB. */
const RAM_BYTES = 3 * GIB + 0x10000;

/** RAM that notes where it was written. */
class WatchedRam extends FakeRam {
  readonly writes: { from: number; to: number }[] = [];

  override write(ramOffset: number, bytes: Uint8Array): void {
    this.writes.push({ from: ramOffset, to: ramOffset + bytes.length });
    super.write(ramOffset, bytes);
  }
}

const address = fc.oneof(
  fc.nat(0x4000).map(BigInt),
  fc
    .tuple(fc.constantFrom(0, 3 * GIB, 4 * GIB, 4 * GIB + 0x10000, 2 ** 53), fc.integer({ min: -64, max: 64 }))
    .map(([edge, by]) => BigInt.asUintN(64, BigInt(edge) + BigInt(by))),
  fc.bigInt(0n, 2n ** 64n - 1n),
);
const length = fc.oneof(fc.constantFrom(0, 1, 16, 32, 40, 128, 2 ** 31, 2 ** 32 - 1), fc.nat(0x100));
const index = fc.oneof({ weight: 8, arbitrary: fc.nat(8) }, fc.nat(0xffff));

type Act = (queue: Virtqueue, driver: FakeRings, flying: DescriptorChain[]) => void;

const descriptor = fc.tuple(index, fc.record({ address, length, flags: fc.nat(7), next: index }), fc.boolean());
const hostile: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: descriptor.map(([at, fields, elsewhere]) => (_: Virtqueue, driver: FakeRings) => {
      driver.setDescriptor(at % 8, fields, elsewhere ? 0x2000 : undefined);
    }),
  },
  { weight: 4, arbitrary: index.map((head) => (_: Virtqueue, driver: FakeRings) => driver.offer(head)) },
  fc.nat(0xffff).map((to) => (_: Virtqueue, driver: FakeRings) => driver.setAvailable(to)),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => (_: Virtqueue, driver: FakeRings) => {
    driver.ram.write(driver.rings.availableRing, bytes.subarray(0, 22));
  }),
);
const device: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(pop) },
  fc
    .tuple(fc.nat(8), fc.nat(0xffffffff))
    .map(([at, written]) => (queue: Virtqueue, _: FakeRings, flying: DescriptorChain[]) => {
      for (const { head } of flying.splice(at, 1)) queue.push(head, written);
    }),
  fc.constant((queue: Virtqueue) => queue.signal()),
  fc.constant((queue: Virtqueue, _: FakeRings, flying: DescriptorChain[]) => {
    if (flying.length === 0) return;
    // The last of them may have been returned before: then it is the model's mistake.
    try {
      queue.unpop(1);
      flying.pop();
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
    }
  }),
);

function pop(queue: Virtqueue, _: FakeRings, flying: DescriptorChain[]): void {
  const chain = queue.pop();
  if (chain === undefined) return;
  const segments = [...chain.readable, ...chain.writable];
  expect(flying.map(({ head }) => head)).not.toContain(chain.head);
  expect(segments.length).toBeGreaterThan(0);
  expect(segments.length).toBeLessThan(16);
  expect(segmentsLength(segments)).toBeLessThan(2 ** 32);
  for (const { ramOffset, length } of segments) {
    expect(length).toBeGreaterThan(0);
    expect(ramOffset >= 3 * GIB ? RAM_BYTES : 3 * GIB).toBeGreaterThanOrEqual(ramOffset + length);
  }
  flying.push(chain);
  expect(flying.length).toBeLessThanOrEqual(8);
}

describe('a virtqueue', () => {
  it(
    'takes any driver: its errors are QueueErrors, its chains are RAM, its writes go to the used ring',
    () => {
      const acts = fc.array(fc.oneof(hostile, device), { maxLength: 60, size: 'max' });
      fuzz(
        fc.property(acts, fc.boolean(), fc.boolean(), fc.nat(0xffff), (all, eventIdx, indirect, first) => {
          const ram = new WatchedRam(RAM_BYTES);
          const driver = new FakeRings(ram, START, 8, eventIdx, first);
          const features = (eventIdx ? VIRTIO_F_EVENT_IDX : 0n) | (indirect ? VIRTIO_F_INDIRECT_DESC : 0n);
          const position = { nextAvailable: first, nextUsed: first };
          const queue = new Virtqueue(ram, {
            rings: driver.rings,
            maxSize: 8,
            features,
            position,
            interrupt: () => {},
          });
          const flying: DescriptorChain[] = [];
          const { usedRing } = driver.rings;
          for (const act of all) {
            ram.writes.length = 0;
            try {
              act(queue, driver, flying);
            } catch (error) {
              if (!(error instanceof QueueError)) throw error;
              return;
            }
            if (act === pop)
              for (const { from, to } of ram.writes) expect([from, to]).toEqual([usedRing + 68, usedRing + 70]);
          }
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'is made of any addresses, or refused',
    () => {
      const near = address.map(Number);
      const size = fc.oneof(fc.constantFrom(1, 2, 8, 256, 32768), fc.nat(0xffffffff));
      const rings = fc.record({ size, descriptorTable: near, availableRing: near, usedRing: near });
      fuzz(
        fc.property(rings, fc.boolean(), (at, aligned) => {
          if (aligned)
            for (const key of ['descriptorTable', 'availableRing', 'usedRing'] as const) at[key] -= at[key] % 16;
          const ram = new FakeRam(RAM_BYTES);
          try {
            const features = VIRTIO_F_EVENT_IDX;
            const queue = new Virtqueue(ram, { rings: at, maxSize: 32768, features, interrupt: () => {} });
            for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain.head, 0);
            queue.signal();
          } catch (error) {
            expect(error).toBeInstanceOf(QueueError);
          }
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});
