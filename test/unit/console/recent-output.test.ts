import { expect, it } from 'vitest';
import { RecentOutput } from '../../../src/console/recent-output.js';

it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 23])('keeps the last 8 bytes of parts of %d', (part) => {
  const all = Buffer.from('abcdefghijklmnopqrstuvwxyz0123456789');
  const recent = new RecentOutput(8);
  for (let at = 0; at < all.length; at += part) {
    recent.add(all.subarray(at, at + part));
    const sofar = all.subarray(0, Math.min(at + part, all.length));
    expect(recent.snapshot().toString()).toBe(sofar.subarray(Math.max(0, sofar.length - 8)).toString());
  }
});

it('begins empty, and gives copies', () => {
  const recent = new RecentOutput(4);
  expect(recent.snapshot()).toHaveLength(0);
  recent.add(Buffer.from('abcd'));
  const before = recent.snapshot();
  recent.add(Buffer.from('e'));
  expect(before.toString()).toBe('abcd');
  expect(recent.snapshot().toString()).toBe('bcde');
});
