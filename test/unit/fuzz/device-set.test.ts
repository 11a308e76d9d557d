import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeviceSet } from '../../../src/devices/device-set.js';
import { FakeSurroundings } from '../devices/fake-surroundings.js';
import { fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError, statesLike } from './fuzz.js';

/** COM1, PM1 event and control, timer, keyboard, reset control, and anything. */
const port = fc.oneof(
  fc.integer({ min: 0x3f6, max: 0x400 }),
  fc.integer({ min: 0x5fe, max: 0x60d }),
  fc.constantFrom(0x63, 0x64, 0xcf7, 0xcf8, 0xcf9, 0xcfa),
  fc.nat(0xffff),
);
const size = fc.constantFrom(1, 2, 4);
const value = fc.oneof(fc.nat(0xff), fc.nat(0xffffffff), fc.constantFrom(0xffffffff, 0x2000, 0x80));
const address = fc.oneof(fc.integer({ min: 0xd0000000, max: 0xd0010000 }), fc.bigInt(0n, 2n ** 64n - 1n).map(Number));

type Step = (devices: DeviceSet, host: FakeSurroundings) => void;

const inRange = (read: number, bytes: number): void =>
  expect(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * bytes)).toBe(true);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(port, size, value).map(([at, bytes, bits]) => (devices: DeviceSet) => {
    devices.portWrite(at, bytes, bits % 2 ** (8 * bytes));
  }),
  fc.tuple(port, size).map(
    ([at, bytes]) =>
      (devices: DeviceSet) =>
        inRange(devices.portRead(at, bytes), bytes),
  ),
  fc.tuple(address, size).map(([at, bytes]) => (devices: DeviceSet) => {
    inRange(Number(devices.mmioRead(at, bytes)), bytes);
    devices.mmioWrite(at, bytes, 1);
    devices.mmioWrite(at, 8, devices.mmioRead(at, 8));
  }),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => (devices: DeviceSet) => {
    devices.serialInput(bytes);
    expect(devices.serialInputSpace()).toBeGreaterThanOrEqual(0);
  }),
  fc.nat(10 ** 9).map((micros) => (_: DeviceSet, host: FakeSurroundings) => void (host.micros += micros)),
  fc.constant((devices: DeviceSet) => devices.pressPowerButton()),
  fc.constant((devices: DeviceSet) => {
    const state = devices.save(0);
    const copy = new DeviceSet(new FakeSurroundings());
    copy.restore(structuredClone(state));
    expect({ ...copy.save(0), acpiPm: state.acpiPm }).toEqual(state);
  }),
);

describe('ports, timer and serial line', () => {
  it(
    'take any access in any order',
    () => {
      fuzz(
        fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
          const host = new FakeSurroundings();
          const devices = new DeviceSet(host);
          for (const act of steps) act(devices, host);
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'take or refuse any state',
    () => {
      const saved = new DeviceSet(new FakeSurroundings()).save(0);
      fuzz(
        fc.property(statesLike(saved), (state) => {
          const devices = new DeviceSet(new FakeSurroundings());
          onlyPostcopyError(() => devices.restore(state));
          devices.portRead(0x3f8, 1);
          devices.portRead(0x608, 4);
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});
