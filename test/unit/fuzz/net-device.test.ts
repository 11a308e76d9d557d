import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetDevice } from '../../../src/devices/virtio/net/net-device.js';
import { QueueError } from '../../../src/devices/virtio/virtio-device.js';
import { POLLIN, POLLOUT, type NativeMemory } from '../../../src/native.js';
import { FakeRingDriver } from '../devices/virtio/fake-ring-driver.js';
import { FakeRam } from '../memory/fake-ram.js';
import { fuzz, FUZZ_TIMEOUT_MS } from './fuzz.js';
import { FuzzTap } from './fuzz-tap.js';

const [RX, TX, CONTROL] = [0, 1, 2] as const;
const ROUTES = [POLLIN, POLLOUT, POLLIN | POLLOUT];

/** What happens to the device, in any order. */
const event = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('frame' as const), bytes: lengths(70_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('chain' as const),
      queue: fc.constantFrom(RX, TX, CONTROL),
      readable: fc.array(lengths(70_000), { maxLength: 4 }),
      writable: fc.array(lengths(70_000), { maxLength: 4 }),
      indirect: fc.boolean(),
      start: fc.uint8Array({ maxLength: 16 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('poll' as const), revents: fc.constantFrom(...ROUTES) }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'notify' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('full' as const), full: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'announce' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'move' as const }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** Small ones, those around a header, and any others. */
function lengths(most: number): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.constantFrom(1526, 1530, 4096),
    fc.integer({ min: 1, max: most }),
  );
}

/** A device with a driver that does anything, which asks for these features. */
class Machine {
  readonly ram = new FakeRam(0x8000000);
  readonly tap = new FuzzTap();
  driver: FakeRingDriver;

  constructor(
    features: bigint,
    readonly eventIdx: boolean,
  ) {
    const device = this.#device();
    this.driver = new FakeRingDriver(device, { ram: this.ram, eventIdx, features: features & device.features });
    this.driver.start();
  }

  get device(): NetDevice {
    return this.driver.device as NetDevice;
  }

  run(happens: Event): void {
    switch (happens.kind) {
      case 'frame':
        return this.tap.arrive(happens.bytes);
      case 'chain':
        return this.#add(happens);
      case 'poll':
        return this.#poll(happens.revents);
      case 'notify':
        return this.device.process();
      case 'full':
        return void (this.tap.full = happens.full);
      case 'announce':
        return this.device.announce();
      case 'move':
        this.driver = this.driver.moveTo(this.#device());
        return this.device.process();
    }
  }

  /** What has come back to the driver, which may add as many again. */
  collect(): void {
    for (const queue of this.driver.sides) queue.collect();
  }

  #device(): NetDevice {
    return new NetDevice({
      memory: this.ram as unknown as NativeMemory,
      tap: this.tap,
      mac: '52:54:00:00:00:01',
      mtu: 1500,
    });
  }

  #add({ queue, readable, writable, indirect, start }: Event & { kind: 'chain' }): void {
    if (readable.length + writable.length === 0) return;
    let left: Uint8Array = start;
    const bytes = readable.map((length) => {
      const part = new Uint8Array(length);
      part.set(left.subarray(0, length));
      left = left.subarray(length);
      return part;
    });
    try {
      this.driver.sides[queue]!.add({ readable: bytes, writable, indirect });
    } catch (error) {
      if (!(error instanceof Error) || error.message !== 'the queue is full') throw error;
    }
  }

  #poll(revents: number): void {
    for (const source of this.device.sources) {
      const wanted = source.events & revents;
      if (wanted !== 0) source.run(wanted);
    }
  }
}

describe('a network device', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('goes on, or breaks the queue, whatever its driver and the network do', () => {
    fuzz(
      fc.property(
        fc.bigInt(0n, 0x3fffffn),
        fc.boolean(),
        fc.array(event, { maxLength: 60 }),
        (features, idx, events) => {
          const machine = new Machine(features, idx);
          try {
            for (const happens of events) {
              machine.run(happens);
              machine.collect();
            }
            machine.device.pause();
            for (const queue of machine.driver.queues) queue?.save(); // throws if anything is in flight
          } catch (error) {
            if (!(error instanceof QueueError)) throw error;
          }
          machine.device.reset();
          machine.device.pause();
        },
      ),
    );
  });

  it('gives a driver that has room every frame, whole and in order', () => {
    const merge = 1n << 15n;
    const sizes = fc.array(fc.integer({ min: 12, max: 9000 }), { minLength: 1, maxLength: 40 });
    fuzz(
      fc.property(
        sizes,
        fc.array(fc.integer({ min: 15, max: 65_562 }), { maxLength: 20 }),
        fc.boolean(),
        (buffers, frames, idx) => {
          const machine = new Machine(merge, idx);
          const queue = machine.driver.sides[RX]!;
          const supply = (): void => {
            for (let at = 0; ; at++) {
              try {
                queue.add({ writable: [buffers[at % buffers.length]!] });
              } catch {
                return machine.device.process();
              }
            }
          };
          // Room for the largest frame, twice: less of it is a matter of how much the driver ever had.
          fc.pre(buffers.reduce((sum, bytes) => sum + bytes, 0) * Math.floor(256 / buffers.length) > 2 * 65_562);
          for (const bytes of frames) {
            machine.tap.arrive(bytes);
            supply();
            machine.run({ kind: 'poll', revents: POLLIN });
            const used = queue.collect();
            const whole = Buffer.concat(used.map((chain) => chain.bytes));
            expect(whole.readUInt16LE(10)).toBe(used.length);
            whole.writeUInt16LE(0, 10);
            expect(whole.equals(machine.tap.lastRead!)).toBe(true);
            expect(whole.length).toBe(bytes);
          }
        },
      ),
    );
  });
});
