/** Each kind of virtio device as a guest reaches it: its registers, its configuration, its queues; and its state. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REGISTER, STATUS } from '../../../src/devices/virtio/mmio-registers.js';
import { MmioTransport } from '../../../src/devices/virtio/mmio-transport.js';
import type { KindName } from '../../../src/host/kinds/table.js';
import { FakeInterrupt } from '../devices/virtio/fake-interrupt.js';
import { MmioDriver } from '../devices/virtio/mmio-driver.js';
import { SOON } from '../devices/virtio/soon.js';
import { FakeRam } from '../memory/fake-ram.js';
import { fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError, statesLike } from './fuzz.js';
import { KINDS, type FuzzedDevice } from './virtio-kinds.js';

const RAM_BYTES = 16 * 1024 * 1024;

/** A device of a VM, and its guest. */
class Setup {
  readonly fuzzed: FuzzedDevice;
  readonly transport: MmioTransport;
  readonly driver: MmioDriver;
  reports = 0;

  constructor(
    readonly kind: KindName,
    readonly ram = new FakeRam(RAM_BYTES),
  ) {
    this.fuzzed = KINDS[kind](ram);
    const { device } = this.fuzzed;
    const report = () => this.reports++;
    this.transport = new MmioTransport({ device, ram, interrupt: new FakeInterrupt(), report });
    this.driver = new MmioDriver(this.transport, ram);
  }

  /** To another host; the state there is the same. */
  move(): Setup {
    this.transport.pause(SOON);
    const state = this.transport.save();
    const there = new Setup(this.kind, this.ram);
    there.transport.restore(structuredClone(state));
    expect(there.transport.save()).toEqual(state);
    there.driver.queues = this.driver.queues;
    there.transport.resume();
    return there;
  }

  poll(revents: number): void {
    for (const source of this.transport.sources) {
      if ((source.events & revents) !== 0) source.run(source.events & revents);
    }
  }
}

type Act = (setup: Setup) => void | Setup;

const register = fc.constantFrom(...Object.values(REGISTER));
const value = fc.oneof(fc.nat(16), fc.nat(0xffffffff), fc.constantFrom(0xff, 0x8b, 0x0f, 0xffffffff));
const length = fc.oneof(fc.nat(0x40), fc.constantFrom(16, 512, 513, 1526, 4096), fc.nat(0xffffffff));
const descriptor = fc.record({
  address: fc.oneof(fc.nat(RAM_BYTES), fc.bigInt(0n, 2n ** 64n - 1n)),
  length,
  flags: fc.nat(7),
  next: fc.nat(9),
});
const index = fc.nat(4);

/** What a block request begins with, what a balloon's page numbers may be, and what a network header has. */
const start = fc.oneof(
  fc
    .tuple(fc.constantFrom(0, 1, 4, 8, 11, 13, 99), fc.oneof(fc.nat(70), fc.bigInt(0n, 2n ** 64n - 1n)))
    .map(([type, sector]) => {
      const bytes = Buffer.alloc(16);
      bytes.writeUInt32LE(type);
      bytes.writeBigUInt64LE(BigInt(sector), 8);
      return bytes;
    }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
const part = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.constantFrom(512, 1024, 4096),
  fc.integer({ min: 1, max: 9000 }),
);

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(register, value).map(
      ([at, bits]): Act =>
        ({ driver }) =>
          driver.write(at, bits),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.nat(0x1ff), fc.constantFrom(1, 2, 4), value)
      .map(([at, size, bits]): Act => ({ transport }) => {
        transport.write(at, size, bits % 2 ** (8 * size));
        const read = transport.read(at, size);
        expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * size)).toBe(true);
      }),
  },
  {
    weight: 2,
    arbitrary: fc.bigInt(0n, 2n ** 40n).map(
      (bits): Act =>
        ({ driver }) =>
          driver.start(driver.offered & ~bits),
    ),
  },
  { weight: 2, arbitrary: fc.constant<Act>(({ driver }) => driver.start()) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(index, start, fc.array(part, { maxLength: 3 }), fc.array(part, { maxLength: 3 }), fc.boolean())
      .map(([at, bytes, readable, writable, indirect]): Act => ({ driver }) => {
        const queue = driver.queues[at];
        if (queue === undefined) return;
        const parts = [bytes, ...readable.map((size) => new Uint8Array(size))].filter((each) => each.length > 0);
        if (parts.length + writable.length === 0) return;
        try {
          queue.add({ readable: parts, writable, indirect });
        } catch {
          return; // the queue is full, or the driver has used up its memory
        }
        driver.write(REGISTER.queueNotify, at);
      }),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(index, fc.array(descriptor, { maxLength: 4 }), fc.nat(8))
      .map(([at, descriptors, head]): Act => ({ driver }) => {
        const queue = driver.queues[at];
        descriptors.forEach((each, place) => queue?.setDescriptor(place, each));
        queue?.offer(head);
        driver.write(REGISTER.queueNotify, at);
      }),
  },
  {
    weight: 4,
    arbitrary: fc.nat(0xffff).map(
      (number): Act =>
        ({ fuzzed }) =>
          fuzzed.happen(number),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(1, 4, 5, 8).map(
      (revents): Act =>
        (setup) =>
          setup.poll(revents),
    ),
  },
  fc.constant<Act>((setup) => setup.move()),
);

/** What the state of a kind has at times. */
const MORE_STATE: Partial<Record<KindName, object>> = {
  block: { version: 2, setAside: [0, 3] },
  net: { announce: true },
};

describe.each(Object.keys(KINDS) as KindName[])('a device of the kind %s', { timeout: FUZZ_TIMEOUT_MS }, (kind) => {
  it('takes whatever its guest does, and is of use again after a reset', () => {
    fuzz(
      fc.property(fc.array(act, { maxLength: 40, size: 'max' }), (acts) => {
        let setup = new Setup(kind);
        for (const each of acts) setup = each(setup) ?? setup;
        expect(setup.fuzzed.wrongs).toEqual([]);
        expect(setup.reports).toBeLessThanOrEqual(10);
        setup.driver.start();
        expect(setup.driver.status & (STATUS.driverOk | STATUS.deviceNeedsReset)).toBe(STATUS.driverOk);
      }),
    );
  });

  it('takes or refuses any state', () => {
    const source = new Setup(kind);
    source.driver.start();
    source.transport.pause(SOON);
    const saved = source.transport.save();
    const samples = [saved, { ...saved, device: { ...(saved.device as object), ...MORE_STATE[kind] } }];
    fuzz(
      fc.property(fc.oneof(...samples.map(statesLike)), (state) => {
        const { transport, driver, fuzzed } = new Setup(kind, source.ram);
        onlyPostcopyError(() => transport.restore(state));
        transport.resume();
        driver.start();
        expect(driver.status & STATUS.deviceNeedsReset).toBe(0);
        expect(fuzzed.wrongs).toEqual([]);
      }),
    );
  });
});
