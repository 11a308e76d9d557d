import { describe, expect, it } from 'vitest';
import { DowntimeLaps } from '../../../../src/migrate/report/downtime.js';

const NONE = { stop: 0, save: 0, copy: 0, map: 0, transfer: 0, load: 0, commit: 0, start: 0 };

describe('DowntimeLaps', () => {
  it('is nothing at first', () => {
    const laps = new DowntimeLaps();
    expect([laps.milliseconds, laps.totalMs]).toEqual([NONE, 0]);
  });

  it('gives each part what has passed since the one before, in milliseconds', () => {
    const laps = new DowntimeLaps();
    laps.begin(10_000);
    laps.lap('stop', 10_250);
    laps.lap('save', 11_250);
    laps.lap('map', 11_250);
    laps.lap('transfer', 13_250);
    expect(laps.milliseconds).toEqual({ ...NONE, stop: 0.25, save: 1, transfer: 2 });
    expect(laps.totalMs).toBe(3.25);
  });

  it('adds what comes again, and what was measured elsewhere', () => {
    const laps = new DowntimeLaps();
    laps.begin(0);
    laps.lap('save', 100);
    laps.lap('map', 200);
    laps.lap('save', 400);
    laps.add('commit', 500);
    laps.lap('start', 410);
    expect(laps.milliseconds).toEqual({ ...NONE, save: 0.3, copy: 0, map: 0.1, commit: 0.5, start: 0.01 });
    expect(laps.totalMs).toBeCloseTo(0.91);
  });

  it.each([
    [300, 0.7, 0.3],
    [0, 1, 0],
    [1000, 0, 1],
    // The other end's clock cannot make a part negative.
    [5000, 0, 1],
  ])('splits off %d us that the other end tells of; the sum stays', (micros, transfer, load) => {
    const laps = new DowntimeLaps();
    laps.begin(0);
    laps.lap('transfer', 1000);
    laps.split('transfer', 'load', micros);
    expect(laps.milliseconds).toEqual({ ...NONE, transfer, load });
    expect(laps.totalMs).toBe(1);
  });

  it('has nothing to split off a part that was not', () => {
    const laps = new DowntimeLaps();
    laps.split('transfer', 'load', 100);
    expect([laps.milliseconds, laps.totalMs]).toEqual([NONE, 0]);
  });

  it('begins anew', () => {
    const laps = new DowntimeLaps();
    laps.begin(0);
    laps.lap('stop', 1000);
    laps.begin(5000);
    laps.lap('save', 6000);
    expect(laps.milliseconds).toEqual({ ...NONE, save: 1 });
  });
});
