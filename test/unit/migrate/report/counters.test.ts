import { expect, it } from 'vitest';
import { Counters } from '../../../../src/migrate/report/counters.js';

it('counts each name apart, in a buffer that others can read', () => {
  const counters = new Counters();
  const elsewhere = new Counters(counters.buffer);
  counters.add('pages', 3);
  counters.add('pages', 4);
  counters.set('released', 5);
  counters.set('released', 6);
  counters.add('zeroPages', 2);
  const names = ['bytes', 'pages', 'zeroPages', 'released', 'installed', 'zeroFaults'] as const;
  expect(names.map((name) => elsewhere.get(name))).toEqual([0, 7, 2, 6, 0, 0]);
});

it('goes beyond 32 bits', () => {
  const counters = new Counters();
  counters.add('bytes', 2 ** 40);
  counters.add('bytes', 1);
  expect(counters.get('bytes')).toBe(2 ** 40 + 1);
});
