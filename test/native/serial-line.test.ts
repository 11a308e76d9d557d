/** The device worker's end of a console, on a socket whose other end may not read. */
import { expect, it, onTestFinished } from 'vitest';
import { native } from '../../src/native.js';
import { SerialLine } from '../../src/run/serial-line.js';

const MOST_UNSENT = 1 << 20;

function pair(): { line: SerialLine; readAll(): number[] } {
  const [mine, theirs] = native.socketPair();
  onTestFinished(() => [mine, theirs].forEach((fd) => native.closeFd(fd)));
  const line = new SerialLine(mine);
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
  return { line, readAll };
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
