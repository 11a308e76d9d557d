import { describe, expect, it } from 'vitest';
import type { PrefetchName } from '../../../src/migrate/options.js';
import type { Trace } from '../../../src/migrate/prefetch/trace.js';
import { Agenda } from '../../../src/replay/agenda.js';
import { MADE_UP, madeUpTrace } from '../../../src/replay/made-up.js';
import { COSTS, type Model } from '../../../src/replay/model.js';
import { replay } from '../../../src/replay/replay.js';
import { Waits } from '../../../src/replay/waits.js';

const GIGABIT: Model = { rateBits: 1e9, roundTrip: 60, cpus: 2, costs: COSTS };
const LOOPBACK: Model = { rateBits: Infinity, roundTrip: 10, cpus: 2, costs: COSTS };
/** A page on a link of 1 Gb/s, with all headers. */
const PAGE_MICROS = (4096 * 8 * 1514) / 1448 / 1000;

/** Touches of one vCPU. */
function trace(pages: number, touches: [time: number, page: number][]): Trace {
  return {
    ...{ kind: 'touches', pages, vcpus: 1, extents: Uint32Array.of(0, pages) },
    times: Float64Array.from(touches, ([time]) => time),
    vcpuOf: new Uint16Array(touches.length),
    pageOf: Uint32Array.from(touches, ([, page]) => page),
  };
}

describe('Agenda', () => {
  it('lets things happen in the order of their times, and then of their notes', () => {
    const agenda = new Agenda();
    const happened: number[] = [];
    const times = Array.from({ length: 500 }, (_, i) => (i * 7919) % 100);
    times.forEach((at, i) => agenda.note(at, () => happened.push(at * 1000 + i)));
    agenda.note(50, () => agenda.note(20, () => expect(agenda.now).toBe(50)));
    agenda.run();
    expect(happened).toHaveLength(500);
    expect(happened).toEqual([...happened].sort((a, b) => a - b));
  });
});

describe('Waits', () => {
  it('tells when a guest has a share of its speed for 50 ms', () => {
    const waits = new Waits();
    waits.add(0, 100_000);
    waits.add(120_500, 130_000);
    waits.add(199_000, 200_000);
    expect([waits.count, waits.longest, waits.total]).toEqual([3, 100_000, 110_500]);
    // Of the 50 ms from 79 ms on, 21 + 8.5 are waited; from 84 on, 16 + 9.5; from 131 on, none.
    expect([waits.timeTo(0.5, 1), waits.timeTo(0.9, 1), waits.timeTo(1, 1)]).toEqual([85_000, 126_000, 130_000]);
    // Of two vCPUs, one runs on.
    expect(waits.timeTo(0.5, 2)).toBe(0);
  });

  it('takes a guest that never waits for one at full speed', () => {
    expect(new Waits().timeTo(0.99, 1)).toBe(0);
  });
});

describe('replay', () => {
  it('takes as long as the link for all pages', () => {
    const outcome = replay(trace(10_000, []), 'in-order', GIGABIT);
    expect(outcome.totalMs).toBeGreaterThan((10_000 * PAGE_MICROS) / 1000);
    expect(outcome.totalMs).toBeLessThan((10_000 * PAGE_MICROS * 1.03) / 1000);
    expect(outcome).toMatchObject({ waitedMs: 0, faults: 0, requests: 0, uselessFirstBytes: 0 });
  });

  it('lets a fault wait for a round trip and what is on the link, whatever the rate', () => {
    const far = { ...GIGABIT, roundTrip: 10_000 };
    for (const model of [GIGABIT, far, LOOPBACK]) {
      const { faults, requests, longestStallMs, waitedMs } = replay(trace(20_000, [[1000, 15_000]]), 'in-order', model);
      expect([faults, requests]).toEqual([1, 1]);
      expect(waitedMs).toBe(longestStallMs);
      expect(longestStallMs).toBeGreaterThan(model.roundTrip / 1000);
      expect(longestStallMs).toBeLessThan((2.5 * model.roundTrip) / 1000 + 1.5);
    }
  });

  it('lets vCPUs that wait for one page go on together, and those that need none run on', () => {
    const touches: Trace = {
      ...trace(20_000, [
        [1000, 15_000],
        [1000, 15_000],
        [1000, 0],
      ]),
      vcpus: 3,
      vcpuOf: Uint16Array.of(0, 1, 2),
    };
    const { faults, requests, waitedMs, longestStallMs } = replay(touches, 'in-order', LOOPBACK);
    expect([faults, requests]).toEqual([2, 1]);
    expect(waitedMs).toBeCloseTo(2 * longestStallMs);
  });

  it('does not move what holds no data, and counts what was useless until the guest had its speed', () => {
    const touches = Array.from({ length: 500 }, (_, i): [number, number] => [i * 100, 9000 + i]);
    const sparse = { ...trace(10_000, touches), extents: Uint32Array.of(0, 1000, 9000, 1000) };
    const { totalMs, uselessFirstBytes, to90Ms } = replay(sparse, 'in-order', GIGABIT);
    expect(totalMs).toBeLessThan((2000 * PAGE_MICROS * 1.1) / 1000);
    expect(to90Ms).toBeGreaterThan(0);
    expect(uselessFirstBytes).toBeGreaterThan(500 * 4096);
    expect(uselessFirstBytes).toBeLessThanOrEqual(1500 * 4096);
  });
});

describe('a trace that is made up', () => {
  it.each(MADE_UP)('%s: is the same for a seed, and touches each page once, in order of time', (name) => {
    const made = madeUpTrace(name, { pages: 4096, seed: 7 });
    expect(madeUpTrace(name, { pages: 4096, seed: 7 })).toEqual(made);
    expect(madeUpTrace(name, { pages: 4096, seed: 8 })).not.toEqual(made);
    expect(made.pageOf.length).toBeGreaterThan(500);
    expect(new Set(made.pageOf).size).toBe(made.pageOf.length);
    expect(made.times).toEqual(made.times.slice().sort());
    expect(Math.max(...made.pageOf)).toBeLessThan(4096);
  });

  it('knows what was written before, and only `recent` is told', () => {
    const made = madeUpTrace('hot-cold', { pages: 4096 });
    expect(made.written).toHaveLength(8);
    for (const span of made.written) expect(span.length).toBeGreaterThan(0);
    const unwatched = { ...made, written: [] };
    expect(replay(unwatched, 'auto', GIGABIT)).toEqual(replay(made, 'auto', GIGABIT));
    expect(replay(unwatched, 'recent', GIGABIT)).toEqual(replay(made, 'auto', GIGABIT));
    expect(replay(made, 'recent', GIGABIT)).not.toEqual(replay(made, 'auto', GIGABIT));
  });

  it('has to be one that there is', () => {
    expect(() => madeUpTrace('quake')).toThrow(/none of uniform, hot-cold/);
  });
});

describe('policies', () => {
  const waited = (name: string, model: Model, seed = 1) => {
    const made = madeUpTrace(name, { seed });
    const of = (prefetch: PrefetchName) => replay(made, prefetch, model);
    return {
      inOrder: of('in-order'),
      near: of('near-faults'),
      streams: of('streams'),
      auto: of('auto'),
      recent: of('recent'),
    };
  };

  it('auto is hardly worse than the best where a guess can help, and than in-order where none can', () => {
    for (const name of MADE_UP) {
      // By chance, one guest differs from another by more than that.
      const guests = [1, 2, 3].map((seed) => waited(name, GIGABIT, seed));
      const sum = (policy: keyof (typeof guests)[number]) => guests.reduce((all, it) => all + it[policy].waitedMs, 0);
      const most = 1.05 * Math.min(sum('inOrder'), sum('near'), sum('streams')) + 0.01 * sum('inOrder');
      expect(sum('auto'), name).toBeLessThan(most);
      expect(sum('recent'), name).toBeLessThan(most);
    }
  });

  it('near-faults halves the waits of a guest that is hot in places, streams those of one that goes through memory', () => {
    const hot = waited('hot-cold', GIGABIT);
    expect(hot.auto.waitedMs).toBeLessThan(0.6 * hot.inOrder.waitedMs);
    expect(hot.auto.to90Ms).toBeLessThan(0.5 * hot.inOrder.to90Ms);
    // One that was watched has its speed in a third of the time, and more.
    expect(hot.recent.to90Ms).toBeLessThan(0.33 * hot.inOrder.to90Ms);
    expect(hot.recent.waitedMs).toBeLessThan(0.8 * hot.auto.waitedMs);
    const ahead = waited('streams', GIGABIT);
    expect(ahead.streams.waitedMs).toBeLessThan(0.1 * ahead.inOrder.waitedMs);
  });

  it('none makes a fast link slower by sending small pieces', () => {
    const { inOrder, near, streams, auto, recent } = waited('uniform', LOOPBACK);
    for (const { totalMs } of [near, streams, auto, recent]) expect(totalMs).toBeLessThan(1.08 * inOrder.totalMs);
  });
});
