import { expect, it } from 'vitest';
import { UnsentOutput } from '../../../src/console/unsent-output.js';

const bytes = (length: number, from: number) => Uint8Array.from({ length }, (_, at) => (from + at) * 7);

/** Takes it all, at most so many at a time. */
function takeAll(output: UnsentOutput, most: number): number[] {
  const taken: number[] = [];
  while (output.length > 0) {
    const part = output.oldest.subarray(0, most);
    taken.push(...part);
    output.drop(part.length);
  }
  return taken;
}

it('gives what it was given, in order, however it is cut', () => {
  for (const [added, most] of [
    [1, 1],
    [1, 10_000],
    [5000, 999],
    [4096, 4096],
    [9000, 4095],
  ] as const) {
    const output = new UnsentOutput();
    for (let at = 0; at < 20_000; at += added) output.add(bytes(added, at));
    const total = Math.ceil(20_000 / added) * added;
    expect(output.length).toBe(total);
    expect(takeAll(output, most)).toEqual([...bytes(total, 0)]);
    expect([output.length, output.oldest.length]).toEqual([0, 0]);
  }
});

it('goes on while it is taken from', () => {
  const output = new UnsentOutput();
  const taken: number[] = [];
  for (let at = 0; at < 30_000; at += 100) {
    output.add(bytes(100, at));
    const part = output.oldest.subarray(0, 90);
    taken.push(...part);
    output.drop(part.length);
  }
  expect([...taken, ...takeAll(output, 5000)]).toEqual([...bytes(30_000, 0)]);
});

it('takes little more memory than the bytes, though they come one by one', () => {
  const output = new UnsentOutput();
  const before = process.memoryUsage();
  for (let at = 0; at < 1 << 20; at++) output.add(Uint8Array.of(at));
  const after = process.memoryUsage();
  expect(output.length).toBe(1 << 20);
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4 << 20);
});
