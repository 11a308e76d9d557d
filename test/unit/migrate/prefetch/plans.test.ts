import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PREFETCH_POLICIES } from '../../../../src/migrate/options.js';
import { auto } from '../../../../src/migrate/prefetch/auto.js';
import { planNamed } from '../../../../src/migrate/prefetch/choose.js';
import { nearFaults } from '../../../../src/migrate/prefetch/near-faults.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import { streams } from '../../../../src/migrate/prefetch/streams.js';
import { WriteHistory } from '../../../../src/migrate/prefetch/write-history.js';
import { PlanRig, type Run } from './plan-rig.js';

const PAGES = 3000;
/** Looks at pages for one run, or one fault: none may walk through the VM. */
const LOOKS_MAX = 32 * 64 + 64;

const extent = fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 400 })).map(([first, pages]): Run => {
  return [first, Math.min(pages, PAGES - first)];
});
/** As nobody makes them, too: they overlap, and lie beyond the VM. */
const place = fc.tuple(fc.nat(PAGES + 100), fc.nat(400));
const fault = fc.oneof(fc.nat(PAGES - 1), fc.integer({ min: PAGES, max: 0xffff_ffff }));
/** Of one stream. */
const stream = fc.tuple(fc.nat(PAGES), fc.integer({ min: -20, max: 20 }), fc.nat(40)).map(([from, step, count]) => {
  return Array.from({ length: count }, (_, i) => from + i * step).filter((page) => page >= 0);
});
const steps = fc.array(
  fc.oneof(
    fault.map((page) => ({ faults: [page] })),
    stream.map((faults) => ({ faults })),
    fc.integer({ min: 1, max: 64 }).map((most) => ({ most })),
    // Another channel is faster.
    extent.map((taken) => ({ taken })),
    // What was written is known only now.
    fc.array(place, { maxLength: 20 }).map((places) => ({ places: places.flat() })),
  ),
  { maxLength: 60 },
);

describe.each(PREFETCH_POLICIES)('%s', (name) => {
  it('sends every page once and leaves none, whatever is asked for meanwhile', () => {
    fc.assert(
      fc.property(fc.array(extent, { maxLength: 8 }), steps, (extents, doings) => {
        const rig = new PlanRig(planNamed(name), PAGES, extents);
        const looksAtFew = <T>(act: () => T): T => {
          const result = act();
          expect(rig.looks).toBeLessThanOrEqual(LOOKS_MAX);
          return result;
        };
        for (const doing of doings) {
          if ('faults' in doing) doing.faults.forEach((page) => looksAtFew(() => rig.fault(page)));
          else if ('places' in doing) rig.recent.add(Uint32Array.from(doing.places));
          else if ('taken' in doing) rig.pages.claimRun(...doing.taken);
          else looksAtFew(() => rig.run(doing.most));
        }
        // claimRun gives each page to one caller, so what is left to show is that the plan comes to an end.
        for (let left = PAGES; left >= 0; left--) {
          const run = looksAtFew(() => rig.run());
          if (run === undefined) break;
          expect(run[1]).toBeGreaterThan(0);
        }
        expect(rig.pages.nextUnsent(0)).toBe(-1);
      }),
      { numRuns: 150 },
    );
  });

  it('looks at as few pages in a VM of 1 TiB', () => {
    let looks = 0;
    const unsent = { pages: 2 ** 28, isUnsent: () => looks++ % 3 === 0, nextUnsent: (from: number) => from };
    const recent = new RecentPages(2 ** 28);
    recent.add(Uint32Array.of(0, 2 ** 28));
    const plan = planNamed(name)(unsent, recent);
    const planned = { first: 0, pages: 0 };
    for (let i = 0; i < 2000; i++) {
      plan.faulted((i * 2654435761) % 2 ** 28);
      plan.faulted(2 ** 28 - 1 - i);
      looks = 0;
      plan.next(planned, 8);
      expect(looks).toBeLessThanOrEqual(LOOKS_MAX);
      expect(planned.first).toBeLessThan(2 ** 28);
    }
  });
});

describe('near-faults', () => {
  it('sends what lies around a fault, above and below, and farther with each turn', () => {
    const rig = new PlanRig(nearFaults, PAGES);
    rig.fault(1000);
    expect(rig.runs(6, 4)).toEqual([
      [1001, 4],
      [996, 4],
      [1005, 4],
      [990, 4],
      [994, 2],
      [1009, 4],
    ]);
  });

  it('begins with the newest fault, and shares between those that are as old', () => {
    const rig = new PlanRig(nearFaults, PAGES);
    rig.fault(500, 2000);
    expect(rig.runs(4, 4).map((run) => run![0])).toEqual([2001, 501, 1996, 496]);
    rig.fault(1500);
    expect(rig.runs(2, 4).map((run) => run![0])).toEqual([1501, 1496]);
  });

  it('grows by as much as goes at once', () => {
    const rig = new PlanRig(nearFaults, PAGES);
    rig.fault(1000);
    expect(rig.runs(2, 32)).toEqual([
      [1001, 32],
      [968, 32],
    ]);
  });

  it('goes on in order where two bubbles have met, and at the ends of the RAM', () => {
    const rig = new PlanRig(nearFaults, 40);
    rig.fault(0, 39, 20);
    const sent = rig.runs(20).flatMap((run) => (run === undefined ? [] : [run]));
    expect(sent.reduce((sum, [, pages]) => sum + pages, 0)).toBe(37);
    expect(rig.runs(1)).toEqual([undefined]);
  });

  it('goes in order without a fault, and once a bubble says nothing any more', () => {
    const rig = new PlanRig(nearFaults, 2 ** 16);
    expect(rig.runs(2)).toEqual([
      [0, 64],
      [64, 64],
    ]);
    rig.fault(40_000);
    const first = Array.from({ length: 100 }, () => rig.run()![0]);
    expect(first.at(-1)).toBeLessThan(10_000);
    expect(rig.pages.isUnsent(40_200)).toBe(false);
    expect(rig.pages.isUnsent(42_000)).toBe(true);
  });
});

describe('streams', () => {
  it('sends ahead of a stream, twice as far each time it catches up', () => {
    const rig = new PlanRig(streams, PAGES);
    rig.fault(1000, 1001, 1002);
    expect(rig.runs(1)).toEqual([[0, 64]]);
    rig.fault(1003);
    expect(rig.runs(2)).toEqual([
      [1004, 16],
      [64, 64],
    ]);
    rig.fault(1020);
    expect(rig.runs(2)).toEqual([
      [1021, 32],
      [128, 64],
    ]);
    rig.fault(1053);
    expect(rig.runs(3)).toEqual([
      [1054, 32],
      [1086, 32],
      [192, 64],
    ]);
  });

  it.each([
    ['downwards', [2000, 1999, 1998, 1997], [[1981, 16]]],
    [
      'in greater steps',
      [100, 107, 114, 121],
      [
        [128, 1],
        [135, 1],
      ],
    ],
    ['which two vCPUs share', [100, 101, 103, 102, 104, 106, 105, 107, 108], [[109, 16]]],
  ] as [string, number[], Run[]][])('knows a stream %s', (_, faults, ahead) => {
    const rig = new PlanRig(streams, PAGES);
    rig.fault(...faults);
    expect(rig.runs(ahead.length)).toEqual(ahead);
  });

  it('takes pages that were sent already for no step', () => {
    const rig = new PlanRig(streams, PAGES);
    // The answer to each brings seven neighbours.
    for (const page of [800, 808, 816, 824]) {
      for (let i = 1; i < 8; i++) rig.pages.claim(page + i);
      rig.fault(page);
    }
    expect(rig.runs(1)).toEqual([[832, 9]]);
  });

  it('serves several streams in turn', () => {
    const rig = new PlanRig(streams, 2 ** 14);
    for (let i = 0; i < 4; i++) rig.fault(1000 + i, 9000 - i);
    rig.runs(2);
    rig.fault(1020, 8980);
    rig.runs(2);
    rig.fault(1053, 8947);
    const runs = rig.runs(4).map((run) => run![0]);
    expect(runs.filter((first) => first < 5000)).toHaveLength(2);
    expect(runs.filter((first) => first > 5000)).toHaveLength(2);
  });

  it('stays with a stream that is ahead of what was sent for it', () => {
    const rig = new PlanRig(streams, PAGES);
    rig.fault(1000, 1001, 1002, 1003, 1020, 1090);
    expect(rig.runs(2)).toEqual([
      [1091, 16],
      [0, 64],
    ]);
    rig.fault(1300, 1500, 1107);
    expect(rig.runs(1)).toEqual([[1108, 32]]);
  });

  it('forgets a stream that goes on without order', () => {
    const rig = new PlanRig(streams, PAGES);
    rig.fault(1000, 1001, 1002, 1003, 990, 1040, 980, 1049, 985, 970, 1060, 940);
    expect(rig.run()).toEqual([0, 64]);
  });

  it('guesses nothing from faults without order', () => {
    const rig = new PlanRig(streams, 2 ** 20);
    let page = 1;
    for (let i = 0; i < 500; i++) rig.fault((page = (page * 16807) % (2 ** 20 - 1)));
    expect(rig.run()![0]).toBeLessThan(64);
  });
});

describe('auto', () => {
  it('sends ahead of streams, and around other faults', () => {
    const rig = new PlanRig(auto, 2 ** 16);
    rig.fault(1000, 1001, 1002, 50_000, 1003);
    const runs = rig.runs(4, 16);
    expect(runs[0]).toEqual([1004, 16]);
    expect(runs.slice(1)).toContainEqual([50_001, 16]);
  });
});

describe.each(PREFETCH_POLICIES)('%s of a guest that was watched', (name) => {
  it('begins where that has written, in the order in which it was told, and has the rest behind it', () => {
    const rig = new PlanRig(planNamed(name), PAGES);
    rig.recent.add(Uint32Array.of(2000, 70, 500, 3));
    rig.recent.add(Uint32Array.of(400, 1));
    rig.pages.claim(501); // somebody has asked for it
    expect(rig.runs(6)).toEqual([
      [2000, 64],
      [2064, 6],
      [500, 1],
      [502, 1],
      [400, 1],
      [0, 64],
    ]);
  });

  it('has all of the RAM in order if all of it was written', () => {
    const rig = new PlanRig(planNamed(name), PAGES);
    const written = new WriteHistory(PAGES);
    written.add(Uint32Array.of(0, PAGES));
    written.add(Uint32Array.of(0, PAGES));
    written.tell(rig.recent);
    const sent = Array.from({ length: PAGES }, () => rig.run()).filter((run) => run !== undefined);
    expect(sent.map(([first]) => first)).toEqual(sent.map(([first]) => first).sort((a, b) => a - b));
    expect(rig.pages.nextUnsent(0)).toBe(-1);
  });
});

it('auto sends ahead of a stream before that', () => {
  const rig = new PlanRig(auto, PAGES);
  rig.recent.add(Uint32Array.of(2000, 64));
  rig.fault(1000, 1001, 1002, 1003);
  expect(rig.runs(2)).toEqual([
    [1004, 16],
    [2000, 64],
  ]);
});
