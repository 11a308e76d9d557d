/** What is foretold of a migration, of guests and links that are told. */
import { describe, expect, it } from 'vitest';
import {
  forecast,
  type ForecastLink,
  type ForecastOptions,
  type ModeForecast,
} from '../../../src/forecast/forecast.js';
import { recommend } from '../../../src/forecast/recommend.js';
import { WriteCurve } from '../../../src/forecast/write-curve.js';
import type { MigrationMode } from '../../../src/migrate/options.js';
import type { WriteMeasure } from '../../../src/vm/service.js';

const PAGES = 262_144;
const GIGABIT: ForecastLink = { rateBits: 1e9, roundTripMicros: 60 };
const OPTIONS: ForecastOptions = { downtime: 300, timeout: 300, onTimeout: 'post-copy' };

function guest(written: WriteMeasure['written'], dataPages = PAGES): WriteMeasure {
  return { pages: PAGES, dataPages, cpus: 2, xsaveBytes: 4096, written };
}

/** So many pages a second, each another one. */
const steady = (perSecond: number) => guest([0.1, 0.2, 2].map((s) => ({ ms: s * 1000, pages: s * perSecond })));
const IDLE = guest([{ ms: 2000, pages: 0 }]);
/** On 1 Gbit/s go some 30 500 pages a second. */
const FAST = steady(60_000);
const HOT = guest([
  { ms: 100, pages: 4000 },
  { ms: 2000, pages: 4000 },
]);

function of(mode: MigrationMode, modes: readonly ModeForecast[]): ModeForecast {
  return modes.find((it) => it.mode === mode)!;
}

describe('a curve of writes', () => {
  it('is a line between what was measured, and goes on as it did last, up to all pages', () => {
    const curve = new WriteCurve(
      [
        { ms: 1000, pages: 300 },
        { ms: 500, pages: 200 },
      ],
      1000,
    );
    expect([0, 250, 500, 750, 1000, 2000, 1e9].map((ms) => curve.within(ms))).toEqual([
      0, 100, 200, 250, 300, 500, 1000,
    ]);
  });

  it('never falls, and of nothing measured is nothing', () => {
    const curve = new WriteCurve(
      [
        { ms: 100, pages: 50 },
        { ms: 200, pages: 20 },
      ],
      1000,
    );
    expect([100, 200, 1000].map((ms) => curve.within(ms))).toEqual([50, 50, 50]);
    expect(new WriteCurve([], 1000).within(5000)).toBe(0);
  });
});

describe('a forecast', () => {
  it('of a guest that writes nothing: one round, and nobody waits', () => {
    const modes = forecast(IDLE, GIGABIT, OPTIONS);
    const bytes = PAGES * 4096;
    expect(modes.map(({ mode, wireBytes, waitingMs, ends }) => [mode, wireBytes, waitingMs, ends])).toEqual([
      ['post-copy', bytes, 0, 'moved'],
      ['pre-copy', bytes, 0, 'moved'],
      ['hybrid', bytes, 0, 'moved'],
    ]);
    const pre = of('pre-copy', modes);
    expect(pre).toMatchObject({ rounds: 1, converges: true, fullSpeedMs: 0 });
    expect(pre.totalMs).toBeGreaterThan((bytes * 8) / 1e6);
    expect(pre.totalMs).toBeLessThan((bytes * 8) / 1e6 + 100);
    expect(recommend(modes).mode).toBe('pre-copy');
  });

  it('of one that writes faster than the link carries: it never converges, but would on a faster one', () => {
    const pre = of('pre-copy', forecast(FAST, GIGABIT, OPTIONS));
    expect(pre).toMatchObject({ converges: false, ends: 'moved' });
    expect(pre.totalMs).toBeGreaterThanOrEqual(300_000);
    const enough = pre.convergesFromBits!;
    // 60 000 pages a second are 1.97 Gbit/s.
    expect(enough).toBeGreaterThan(1.9e9);
    expect(enough).toBeLessThan(4e9);
    expect(of('pre-copy', forecast(FAST, { ...GIGABIT, rateBits: enough }, OPTIONS)).converges).toBe(true);
    expect(of('pre-copy', forecast(FAST, { ...GIGABIT, rateBits: enough * 0.9 }, OPTIONS)).converges).toBe(false);
  });

  it('ends a pre-copy that does not converge as the options say', () => {
    const ending = (onTimeout: ForecastOptions['onTimeout']) =>
      of('pre-copy', forecast(FAST, GIGABIT, { ...OPTIONS, timeout: 20, onTimeout }));
    expect(ending('cancel')).toMatchObject({ ends: 'cancelled', downtimeMs: 0, waitingMs: 0 });
    expect(ending('stop').downtimeMs).toBeGreaterThan(300);
    expect(ending('stop').waitingMs).toBe(0);
    const late = ending('post-copy');
    expect(late.downtimeMs).toBeLessThan(300);
    expect(late.waitingMs).toBeGreaterThan(0);
  });

  it('of one that writes the same pages again and again: few are sent twice', () => {
    const modes = forecast(HOT, GIGABIT, OPTIONS);
    const pre = of('pre-copy', modes);
    expect(pre).toMatchObject({ converges: true, wireBytes: (PAGES + 4000) * 4096 });
    expect(pre.downtimeMs).toBeLessThanOrEqual(OPTIONS.downtime);
    expect(of('hybrid', modes).fullSpeedMs).toBeLessThan(of('post-copy', modes).fullSpeedMs / 10);
  });

  it('sends no faster than the limit, and no faster than the ends can', () => {
    const limited = forecast(IDLE, GIGABIT, { ...OPTIONS, bandwidth: 10 * 1024 * 1024 });
    expect(of('post-copy', limited).fullSpeedMs).toBeCloseTo(102_400, -1);
    const local = forecast(IDLE, { rateBits: Infinity, roundTripMicros: 10 }, OPTIONS);
    expect(of('post-copy', local).fullSpeedMs).toBeGreaterThan(0);
  });

  it('of a guest that has nothing', () => {
    for (const it of forecast(guest([], 0), GIGABIT, OPTIONS)) {
      expect(it).toMatchObject({ wireBytes: 0, waitingMs: 0, fullSpeedMs: 0, ends: 'moved' });
    }
  });

  it('waits longer on a longer way', () => {
    const near = of('post-copy', forecast(HOT, GIGABIT, OPTIONS));
    const far = of('post-copy', forecast(HOT, { ...GIGABIT, roundTripMicros: 10_000 }, OPTIONS));
    expect(far.waitingMs).toBeGreaterThan(near.waitingMs * 5);
    expect(far.downtimeMs).toBeGreaterThan(near.downtimeMs + 29);
  });
});

describe('a recommendation', () => {
  const modes = (changes: Partial<Record<MigrationMode, Partial<ModeForecast>>>): ModeForecast[] =>
    forecast(HOT, GIGABIT, OPTIONS).map((it) => ({ ...it, ...changes[it.mode] }));

  it.each([
    ['pre-copy', {}, /waits for no page/],
    [
      'hybrid',
      { 'pre-copy': { converges: false }, hybrid: { waitingMs: 1 }, 'post-copy': { waitingMs: 9 } },
      /instead/,
    ],
    ['post-copy', { 'pre-copy': { converges: false }, hybrid: { waitingMs: 9 }, 'post-copy': { waitingMs: 9 } }, /not/],
    ['hybrid', { 'pre-copy': { totalMs: 1e9 }, hybrid: { waitingMs: 1 }, 'post-copy': { waitingMs: 9 } }, /longer/],
  ] as const)('is %s', (mode, changes, reason) => {
    const said = recommend(modes(changes));
    expect(said.mode).toBe(mode);
    expect(said.reason).toMatch(reason);
  });
});
