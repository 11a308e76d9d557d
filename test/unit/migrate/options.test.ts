import { expect, it } from 'vitest';
import { checkLimit, checkMigrateOptions, PREFETCH_POLICIES } from '../../../src/migrate/options.js';

it('what is not given has its default', () => {
  const rounds = { mode: 'post-copy', downtime: 300, timeout: 300, onTimeout: 'post-copy' };
  const defaults = { channels: 1, prefetch: 'in-order', ...rounds, dryRun: false, wait: false };
  expect(checkMigrateOptions({})).toEqual(defaults);
  expect(checkMigrateOptions({ channels: 4 })).toEqual({ ...defaults, channels: 4 });
});

it.each(PREFETCH_POLICIES)('%s is a policy', (prefetch) => {
  expect(checkMigrateOptions({ prefetch }).prefetch).toBe(prefetch);
});

const channels = 'channels: must be a whole number of connections from 1 to 16';
const bandwidth = 'bandwidth: must be a whole number of bytes per second from 65536 to 1099511627776';
it.each<[object, string]>([
  [{ channels: 0 }, channels],
  [{ channels: 17 }, channels],
  [{ channels: 1.5 }, channels],
  [{ channels: '4' }, channels],
  [{ channels: null }, channels],
  [{ prefetch: 'by-magic' }, 'prefetch: must be one of in-order, near-faults, streams, auto, recent'],
  [{ prefetch: 1, channels: -1 }, `${channels}; prefetch: must be one of in-order, near-faults, streams, auto, recent`],
  [{ bandwidth: 65_535 }, bandwidth],
  [{ bandwidth: '100M' }, bandwidth],
  [{ bandwidth: null }, bandwidth],
  [{ mode: 'both' }, 'mode: must be one of post-copy, pre-copy, hybrid'],
  [{ downtime: 0 }, 'downtime: must be a whole number of milliseconds from 1 to 60000'],
  [{ timeout: 86_401 }, 'timeout: must be a whole number of seconds from 1 to 86400'],
  [{ onTimeout: 'fail' }, 'onTimeout: must be one of post-copy, stop, cancel'],
  [{ speed: 'high' }, 'speed: there is no such setting'],
])('%j cannot be, and it says which and why', (given, message) => {
  expect(() => checkMigrateOptions(given)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG', message }));
});

it('a limit can be changed to another, or to none', () => {
  expect([65_536, null].map((rate) => checkLimit({ bandwidth: rate }))).toEqual([
    { bandwidth: 65_536 },
    { bandwidth: null },
  ]);
  for (const given of [
    {},
    { bandwidth: 0 },
    { bandwidth: 1e13 },
    { bandwidth: 65_536.5 },
    { bandwidth: null, wait: true },
  ]) {
    expect(() => checkLimit(given as never)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
  }
});
