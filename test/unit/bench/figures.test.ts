import { expect, test } from 'vitest';
import { figuresOf, type Material } from '../../../src/bench/figures.js';

const MIB = 1024 * 1024;

function material(more: Partial<Material> = {}): Material {
  const counts = [1000, 0, 0, 400, ...Array.from({ length: 200 }, () => 1000)];
  return {
    line: {
      intervalUs: 10_000,
      before: 1000,
      counts,
      longestUs: counts.map((_, i) => (i === 3 ? 22_000 : 5)),
      commandAt: 0,
    },
    // The guest's own longest stall came after the migration: no page was waited for then.
    report: { us: 2_040_000, accesses: 201_500, bad: 0, stalls: 11, longest_us: 30_000, stalled_us: 53_000 },
    whenMoved: { us: 60_000, accesses: 3_500, bad: 0, stalls: 10, longest_us: 22_000, stalled_us: 23_000 },
    buckets: [
      [1, 200_000],
      [104, 9],
      [22_528, 1],
    ],
    account: { totalMs: 30, downtimeMs: 20, wireBytes: 101 * MIB, faults: 10, dataPages: (100 * MIB) / 4096, raw: {} },
    cost: {
      cpu: { totalMs: 50, vcpuMs: 20 },
      wire: { received: 102 * MIB, sent: MIB },
      memory: { beforeBytes: 150 * MIB, peakBytes: 155 * MIB, tcpPeakBytes: MIB },
    },
    totalMs: 35,
    stayed: false,
    pagesLeft: [],
    clockLostUs: 100,
    ...more,
  };
}

test('every figure follows from what was measured', () => {
  expect(figuresOf(material())).toMatchObject({
    ...{ longestStallMs: 30, switchStallMs: 22, clockLostMs: 0.1, stalledMs: 53, totalMs: 35, ownTotalMs: 30 },
    ...{ faults: 10, faultWaitMaxUs: 22_000, slowCount: 10, backMs: 40, lostMs: 26 },
    ...{ speedBefore: 0.1, speedAfter: 0.1, speedRatio: 1, wireRatio: 1.01, interfaceBytes: 103 * MIB },
    ...{ memoryBytes: 106 * MIB, memoryRatio: 1.06, cpuMs: 50, cpuWithoutVcpusMs: 30 },
  });
});

test('the switch-over can be told from the waits for pages', () => {
  const { faultWaitMeanUs, faultWaitMeanLaterUs } = figuresOf(material());
  expect(faultWaitMeanUs).toBeCloseTo((9 * 102 + 22_000) / 10);
  expect(faultWaitMeanLaterUs).toBeCloseTo(102);
});

test('without faults there are no fault waits', () => {
  const figures = figuresOf(material({ account: { ...material().account, faults: 0 } }));
  expect(figures).not.toHaveProperty('faultWaitMeanUs');
  expect(figures).not.toHaveProperty('faultWaitMeanLaterUs');
  expect(figures.slowCount).toBe(10);
});

test("a loopback interface's two directions are one", () => {
  const cost = { ...material().cost, wire: { received: 102 * MIB, sent: 102 * MIB } };
  expect(figuresOf(material({ cost })).interfaceBytes).toBe(102 * MIB);
});

test('a guest that stays slower has settled, but is not back', () => {
  const counts = [1000, 0, 0, ...Array.from({ length: 200 }, () => 600)];
  const figures = figuresOf(material({ line: { ...material().line, counts, longestUs: counts.map(() => 5) } }));
  expect(figures).not.toHaveProperty('backMs');
  expect(figures.lostMs).toBeCloseTo(20);
});
