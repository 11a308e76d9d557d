import { expect, it } from 'vitest';
import { checkMigrateOptions, type GivenMigrateOptions } from '../../../../src/migrate/options.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import { watchOf, WriteWatch } from '../../../../src/migrate/source/write-watch.js';
import type { Machine } from '../../../../src/machine/machine.js';

const PAGES = 256;

it.each<[GivenMigrateOptions, number | undefined]>([
  [{}, undefined],
  [{ prefetch: 'auto' }, undefined],
  [{ prefetch: 'auto', watch: 5 }, 5],
  [{ watch: 1 }, 1],
  [{ prefetch: 'recent' }, 2],
  [{ prefetch: 'recent', watch: 30 }, 30],
  [{ prefetch: 'recent', mode: 'hybrid', watch: 5 }, undefined],
  [{ prefetch: 'recent', mode: 'pre-copy' }, undefined],
])('of %j, a guest is watched for so many seconds: %s', (given, seconds) => {
  expect(watchOf(checkMigrateOptions(given))).toBe(seconds);
});

it.each([0, 31, 1.5])('cannot be for %s seconds', (watch) => {
  expect(() => checkMigrateOptions({ watch })).toThrow(/watch: must be a whole number of seconds from 1 to 30/);
});

it('tells several spans of time apart', async () => {
  let asked = 0;
  const log = {
    kind: 'userfaultfd',
    // Two places, of which one is written again and again.
    collect: async () => (asked++ === 0 ? Uint32Array.of(0, 64) : Uint32Array.of(128, 64)),
    end: () => {},
  };
  const machine = { memory: { bytes: PAGES * 4096 }, beginDirtyLog: async () => log } as unknown as Machine;
  const watch = new WriteWatch(machine, 1);
  const history = await watch.run(new AbortController().signal);
  expect(watch.isOn).toBe(false);
  // A host that stands still for a second asks once.
  const places = asked === 1 ? [0] : [128, 0];
  expect(watch.found).toMatchObject({ pages: 64 * places.length });
  const recent = new RecentPages(PAGES);
  history?.tell(recent);
  expect(places.map((_, i) => recent.first(i))).toEqual(places);
});
