import { expect, it } from 'vitest';
import { interruptRouting } from '../../../src/boot/interrupt-routing.js';

it('leads the PIT to I/O APIC pin 2 and all else straight on', () => {
  const bytes = Buffer.from(interruptRouting());
  expect(bytes.length).toBe((15 + 23) * 48);
  const routes = Array.from({ length: bytes.length / 48 }, (_, i) =>
    [0, 4, 8, 12, 16, 20].map((at) => bytes.readUInt32LE(i * 48 + at)),
  );
  expect(routes.every(([, type, flags, pad]) => type === 1 && flags === 0 && pad === 0)).toBe(true);
  const of = (gsi: number): number[][] => routes.filter((r) => r[0] === gsi).map((r) => r.slice(4));
  expect([0, 1, 2, 4, 9, 15, 16, 23].map(of)).toEqual([
    [
      [0, 0],
      [2, 2],
    ],
    [
      [0, 1],
      [2, 1],
    ],
    [],
    [
      [0, 4],
      [2, 4],
    ],
    [
      [1, 1],
      [2, 9],
    ],
    [
      [1, 7],
      [2, 15],
    ],
    [[2, 16]],
    [[2, 23]],
  ]);
});
