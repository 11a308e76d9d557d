import { beforeEach, describe, expect, it } from 'vitest';
import { VirtioConsole } from '../../../../src/devices/virtio/console/console.js';
import { MIB } from '../../../../src/memory/page-size.js';
import { POLLHUP, POLLIN, POLLOUT } from '../../../../src/native.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { FakeDriver, FakeQueue } from './fake-driver.js';
import { FakeLine } from './fake-line.js';

let ram: FakeRam;
let line: FakeLine;
let [receive, transmit] = [new FakeQueue(), new FakeQueue()];
let hvc: VirtioConsole;

beforeEach(() => {
  ram = new FakeRam(2 * MIB);
  line = new FakeLine();
  [receive, transmit] = [new FakeQueue(), new FakeQueue()];
  hvc = new VirtioConsole(ram, line);
  hvc.start(new FakeDriver([receive, transmit]));
});

const events = (): number => hvc.sources[0]!.events;
const poll = (revents: number): void => hvc.sources[0]!.run(revents);

function text(ramOffset: number, length: number): string {
  const bytes = Buffer.alloc(length);
  ram.read(ramOffset, bytes);
  return bytes.toString('latin1');
}

describe('output', () => {
  it('goes to the host in order, from all buffers, with one interrupt', () => {
    ram.write(0, Buffer.from('hello, world'));
    transmit.add([
      { ramOffset: 0, length: 5 },
      { ramOffset: 5, length: 2 },
    ]);
    transmit.add([{ ramOffset: 7, length: 5 }]);
    hvc.process();
    expect(line.output).toBe('hello, world');
    expect(transmit.used).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect([transmit.signals, receive.signals]).toEqual([1, 0]);
  });

  it('of more than its buffer goes out whole', () => {
    const long = 'x'.repeat(40_000) + 'end';
    ram.write(0, Buffer.from(long));
    transmit.add([{ ramOffset: 0, length: long.length }]);
    hvc.process();
    expect(line.output).toBe(long);
  });

  it('of a chain without end is cut at 1 MiB', () => {
    transmit.add(new Array(100).fill({ ramOffset: 0, length: 2 * MIB }));
    hvc.process();
    expect(line.output.length).toBe(MIB);
  });

  it('waits for the host when it has to, and for nothing when the host is gone', () => {
    expect(events()).toBe(0);
    line.blocked = true;
    expect(events()).toBe(POLLOUT);
    poll(POLLOUT);
    expect(line.flushes).toBe(1);
    line.open = false;
    expect(events()).toBe(0);
  });
});

describe('input', () => {
  it('is waited for while the driver has buffers', () => {
    expect(hvc.sources[0]!.fd).toBe(7);
    hvc.process();
    expect(events()).toBe(0);
    receive.add([], [{ ramOffset: 0, length: 4 }]);
    hvc.process();
    expect(events()).toBe(POLLIN);
    line.open = false;
    expect(events()).toBe(0);
  });

  it('fills one buffer for each poll, and takes no more from the host than that holds', () => {
    receive.add(
      [],
      [
        { ramOffset: 0, length: 3 },
        { ramOffset: 100, length: 2 },
      ],
    );
    receive.add([], [{ ramOffset: 200, length: 64 }]);
    hvc.process();
    line.input = 'abcdefgh';
    poll(POLLIN);
    expect(receive.used).toEqual([[0, 5]]);
    expect([text(0, 3), text(100, 2), line.input]).toEqual(['abc', 'de', 'fgh']);
    poll(POLLIN);
    expect(receive.used[1]).toEqual([1, 3]);
    expect(text(200, 3)).toBe('fgh');
    expect([receive.signals, events()]).toEqual([2, 0]);
  });

  it('stays with the host without a buffer', () => {
    line.input = 'typed early';
    poll(POLLIN | POLLHUP);
    hvc.process();
    expect(line.input).toBe('typed early');
  });

  it('is not read for a wake-up that brings none', () => {
    receive.add([], [{ ramOffset: 0, length: 4 }]);
    hvc.process();
    poll(POLLHUP);
    expect([receive.used, receive.signals]).toEqual([[], 0]);
    expect(events()).toBe(POLLIN);
  });

  it('finds no place in a chain without one', () => {
    receive.add([{ ramOffset: 0, length: 4 }]);
    receive.add([], [{ ramOffset: 0, length: 4 }]);
    hvc.process();
    expect(receive.used).toEqual([[0, 0]]);
    expect(receive.taken).toEqual([1]);
  });

  it('returns chains without a place all at once, or a driver could add them again for ever', () => {
    for (let i = 0; i < 3; i++) receive.add([{ ramOffset: 0, length: 4 }]);
    hvc.process();
    expect(receive.used).toHaveLength(3);
    expect(receive.signals).toBe(1);
  });
});

describe('a migration', () => {
  it('returns the buffer to its queue, takes no input, and goes on if it fails', () => {
    receive.add([], [{ ramOffset: 0, length: 4 }]);
    hvc.process();
    line.input = 'late';
    hvc.pause();
    hvc.pause();
    expect([receive.waiting, receive.taken, events()]).toEqual([1, [], 0]);
    poll(POLLIN);
    expect(line.input).toBe('late');
    hvc.process();
    poll(POLLIN);
    expect(text(0, 4)).toBe('late');
  });

  it('carries a state that is checked', () => {
    hvc.restore(hvc.save());
    for (const state of [undefined, {}, { version: 2 }, { version: 1, more: 0 }]) {
      expect(() => hvc.restore(state)).toThrow();
    }
  });
});

it('forgets the driver and its buffer at a reset', () => {
  receive.add([], [{ ramOffset: 0, length: 4 }]);
  hvc.process();
  hvc.reset();
  line.input = 'x';
  poll(POLLIN);
  hvc.process();
  expect([line.input, receive.used, events()]).toEqual(['x', [], 0]);
});

it('has nothing to do with queues that the driver left out', () => {
  hvc.start(new FakeDriver([undefined, undefined]));
  hvc.process();
  hvc.pause();
  expect(events()).toBe(0);
});
