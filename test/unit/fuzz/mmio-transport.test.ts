import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REGISTER, STATUS } from '../../../src/devices/virtio/mmio-registers.js';
import { MmioTransport } from '../../../src/devices/virtio/mmio-transport.js';
import { EchoDevice } from '../devices/virtio/echo-device.js';
import { MmioDriver } from '../devices/virtio/mmio-driver.js';
import { FakeRam } from '../memory/fake-ram.js';
import { FakeInterrupt } from '../devices/virtio/fake-interrupt.js';
import { fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError, statesLike } from './fuzz.js';
import { SOON } from '../devices/virtio/soon.js';

const RAM_BYTES = 0x100000;

/** A device on its transport, and what plays the guest. */
class Setup {
  readonly interrupt = new FakeInterrupt();
  readonly device: EchoDevice;
  readonly transport: MmioTransport;
  readonly driver: MmioDriver;

  constructor(readonly ram = new FakeRam(RAM_BYTES)) {
    this.device = new EchoDevice(ram);
    this.device.sources.push({ fd: 5, events: 1, run: () => this.device.process() });
    this.transport = new MmioTransport({ device: this.device, ram, interrupt: this.interrupt, report: () => {} });
    this.driver = new MmioDriver(this.transport, ram);
  }

  /** To another host; the state there is the same. */
  move(): Setup {
    this.transport.pause(SOON);
    const state = this.transport.save();
    const there = new Setup(this.ram);
    there.transport.restore(structuredClone(state));
    expect(there.transport.save()).toEqual(state);
    there.driver.queues = this.driver.queues;
    there.transport.resume();
    return there;
  }

  check(): void {
    const status = this.driver.status;
    const pending = this.driver.read(REGISTER.interruptStatus);
    const driven = (status & STATUS.driverOk) !== 0 && (status & STATUS.deviceNeedsReset) === 0;
    expect([0, 1, 2, 3]).toContain(pending);
    if (pending !== 0) expect(this.interrupt.edges).toBeGreaterThan(0);
    expect(this.transport.sources.length).toBe(driven ? 1 : 0);
    expect(this.device.driver !== undefined).toBe(driven);
    if (driven) expect(status & STATUS.featuresOk).not.toBe(0);
  }
}

type Act = (setup: Setup) => void | Setup;

const register = fc.constantFrom(...Object.values(REGISTER));
const value = fc.oneof(
  fc.nat(16),
  fc.nat(0xffffffff),
  fc.integer({ min: 0xffff, max: 0x20010 }),
  fc.constantFrom(0xff, 0x8b, 0x0f, 0xffffffff),
);
const descriptor = fc.record({
  address: fc.oneof(fc.nat(RAM_BYTES), fc.bigInt(0n, 2n ** 64n - 1n)),
  length: fc.oneof(fc.nat(0x100), fc.nat(0xffffffff)),
  flags: fc.nat(7),
  next: fc.nat(9),
});

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(register, value).map(
      ([at, bits]) =>
        (setup: Setup) =>
          setup.driver.write(at, bits),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.nat(0xfff), fc.constantFrom(1, 2, 4), value)
      .map(([at, size, bits]) => ({ transport }: Setup) => {
        transport.write(at, size, bits % 2 ** (8 * size));
        const read = transport.read(at, size);
        expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * size)).toBe(true);
      }),
  },
  {
    weight: 2,
    arbitrary: fc.bigInt(0n, 2n ** 34n).map(
      (features) =>
        ({ driver }: Setup) =>
          driver.start(features),
    ),
  },
  { weight: 2, arbitrary: fc.constant(({ driver }: Setup) => driver.start()) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.nat(1), fc.array(descriptor, { maxLength: 4 }), fc.nat(8))
      .map(([at, descriptors, head]) => ({ driver }: Setup) => {
        const queue = driver.queues[at];
        descriptors.forEach((each, index) => queue?.setDescriptor(index, each));
        queue?.offer(head);
        driver.write(REGISTER.queueNotify, at);
      }),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.nat(1), fc.integer({ min: 1, max: 64 }), fc.boolean())
      .map(([at, length, indirect]) => ({ driver }: Setup) => {
        const queue = driver.queues[at];
        if (queue === undefined) return;
        queue.offer(0);
        queue.setAvailable(queue.available - 1);
        const address = queue.alloc(length);
        queue.setDescriptor(0, { address, length, flags: 1, next: 1 });
        queue.setDescriptor(1, { address, length, flags: 2 });
        if (indirect) queue.setDescriptor(0, { address: queue.rings.descriptorTable + 16, length: 16, flags: 4 });
        queue.setAvailable(queue.available + 1);
        driver.write(REGISTER.queueNotify, at);
      }),
  },
  fc.uint8Array({ maxLength: 64 }).map(
    (bytes) =>
      ({ ram }: Setup) =>
        ram.write(0x10000, bytes),
  ),
  fc.constant(({ transport }: Setup) => transport.sources[0]?.run(1)),
  fc.constant(({ device }: Setup) => device.driver?.configChanged()),
  fc.boolean().map(
    (hold) =>
      ({ device }: Setup) =>
        void (device.hold = hold),
  ),
  fc.constant((setup: Setup) => setup.move()),
);

describe('the MMIO transport', () => {
  it(
    'takes any accesses of any driver, wherever it moves meanwhile',
    () => {
      fuzz(
        fc.property(fc.array(act, { maxLength: 60, size: 'max' }), (acts) => {
          let setup = new Setup();
          for (const each of acts) {
            setup = each(setup) ?? setup;
            setup.check();
          }
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'takes or refuses any state',
    () => {
      const source = new Setup();
      source.driver.start();
      source.transport.pause(SOON);
      fuzz(
        fc.property(statesLike(source.transport.save()), (state) => {
          const { transport, driver } = new Setup(source.ram);
          onlyPostcopyError(() => transport.restore(state));
          transport.resume();
          driver.start();
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});
