import { beforeEach, expect, it } from 'vitest';
import { VirtioRng } from '../../../../src/devices/virtio/rng/rng.js';
import { MIB } from '../../../../src/memory/page-size.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { FakeDriver, FakeQueue } from './fake-driver.js';

let ram: FakeRam;
let queue: FakeQueue;
let rng: VirtioRng;

beforeEach(() => {
  ram = new FakeRam(MIB);
  queue = new FakeQueue();
  rng = new VirtioRng(ram);
  rng.start(new FakeDriver([queue]));
});

function bytesAt(ramOffset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  ram.read(ramOffset, bytes);
  return bytes;
}

it('fills the buffers and nothing beside them, with one interrupt for all', () => {
  queue.add(
    [],
    [
      { ramOffset: 0x1000, length: 32 },
      { ramOffset: 0x2000, length: 32 },
    ],
  );
  queue.add([], [{ ramOffset: 0x3000, length: 64 }]);
  rng.process();
  expect(queue.used).toEqual([
    [0, 64],
    [1, 64],
  ]);
  expect(queue.signals).toBe(1);
  const parts = [bytesAt(0x1000, 32), bytesAt(0x2000, 32), bytesAt(0x3000, 32), bytesAt(0x3020, 32)];
  expect(new Set(parts.map((part) => part.toString('hex'))).size).toBe(4);
  expect(parts.some((part) => part.equals(Buffer.alloc(32)))).toBe(false);
  expect([0xfff, 0x1020, 0x2020, 0x3040].map((at) => bytesAt(at, 1)[0])).toEqual([0, 0, 0, 0]);
});

it('gives 64 KiB at most for a request', () => {
  queue.add([], new Array(100).fill({ ramOffset: 0, length: MIB / 2 }));
  rng.process();
  expect(queue.used).toEqual([[0, 65536]]);
  expect(bytesAt(65536, 16)).toEqual(Buffer.alloc(16));
});

it('returns a request without a place for random bytes', () => {
  queue.add([{ ramOffset: 0, length: 64 }]);
  rng.process();
  expect(queue.used).toEqual([[0, 0]]);
  expect(bytesAt(0, 64)).toEqual(Buffer.alloc(64));
});

it('does nothing without a request, a queue or a driver', () => {
  rng.process();
  expect(queue.signals).toBe(0);
  rng.start(new FakeDriver([undefined]));
  rng.process();
  rng.reset();
  queue.add([], [{ ramOffset: 0, length: 64 }]);
  rng.process();
  expect(queue.waiting).toBe(1);
});

it('has a state that is checked', () => {
  rng.pause();
  rng.restore(rng.save());
  for (const state of [undefined, {}, { version: 2 }, { version: 1, more: 0 }]) {
    expect(() => rng.restore(state)).toThrow();
  }
});
