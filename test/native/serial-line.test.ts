/** The device worker's end of a console, on a socket whose other end may not read. */
import { expect, it, onTestFinished } from 'vitest';
import { native } from '../../src/native.js';
import { SerialLine } from '../../src/console/serial-line.js';

const MOST_UNSENT = 1 << 20;

function pair(nowMicros?: () => number): { line: SerialLine; readAll(): number[]; readSome(): number } {
  const [mine, theirs] = native.socketPair();
  onTestFinished(() => [mine, theirs].forEach((fd) => native.closeFd(fd)));
  const line = new SerialLine(mine, nowMicros);
  const readAll = (): number[] => {
    const heard: number[] = [];
    const into = new Uint8Array(65536);
    for (;;) {
      const got = native.readFd(theirs, into) ?? 0;
      if (got <= 0) return heard;
      for (const byte of into.subarray(0, got)) heard.push(byte);
      line.flush();
    }
  };
  const readSome = (): number => Math.max(0, native.readFd(theirs, new Uint8Array(65536)));
  return { line, readAll, readSome };
}

it('keeps what is not read, in order, up to a bound, and takes more when it is', () => {
  const { line, readAll } = pair();
  let written = 0;
  for (; written < 3 * MOST_UNSENT; written++) line.write(Uint8Array.of(written * 7));
  expect(line.blocked).toBe(true);
  const heard = readAll();
  expect(line.blocked).toBe(false);
  expect(heard.length).toBeGreaterThanOrEqual(MOST_UNSENT);
  expect(heard.length).toBeLessThan(written);
  expect(heard.every((byte, at) => byte === ((at * 7) & 0xff))).toBe(true);
  line.write(Uint8Array.of(1, 2, 3));
  expect(readAll()).toEqual([1, 2, 3]);
});

it('sends gathered bytes together: when they are due, when they are many, or when asked', () => {
  let now = 0;
  const { line, readSome } = pair(() => now);
  expect(line.msToFlush()).toBe(Infinity);
  for (const byte of [1, 2, 3]) {
    line.gather(Uint8Array.of(byte));
    now += 1000;
    line.flushIfDue();
  }
  expect([readSome(), line.blocked, line.msToFlush()]).toEqual([0, false, 2]);
  now += 3000;
  expect(line.msToFlush()).toBe(0);
  line.flushIfDue();
  expect([readSome(), line.msToFlush()]).toEqual([3, Infinity]);

  for (let i = 0; i < 1024; i++) line.gather(Uint8Array.of(i));
  expect([readSome(), line.msToFlush()]).toEqual([1024, Infinity]);

  line.gather(Uint8Array.of(1));
  line.flush();
  expect([readSome(), line.msToFlush()]).toEqual([1, Infinity]);
});

it('keeps the order of gathered bytes and of those that are sent at once', () => {
  const { line, readAll } = pair();
  line.gather(Uint8Array.of(1));
  line.write(Uint8Array.of(2));
  line.gather(Uint8Array.of(3));
  line.flush();
  expect(readAll()).toEqual([1, 2, 3]);
});
