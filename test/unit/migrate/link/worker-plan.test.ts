import { describe, expect, it } from 'vitest';
import { niceFor } from '../../../../src/threads/priorities.js';
import { planWorkers } from '../../../../src/migrate/link/worker-plan.js';

describe('planWorkers', () => {
  const plan = (bulk: number, cores: number) =>
    planWorkers(bulk, cores).map((channels) => channels.map(({ kind, index }) => `${kind} ${index}`).join(', '));

  it.each([1, 2, 3])('lets faults and the push share a worker on %d cores, faults first', (cores) => {
    expect(plan(1, cores)).toEqual(['urgent 0, bulk 0']);
  });

  it('has no more workers that push than there are cores', () => {
    expect(plan(3, 1)).toEqual(['urgent 0, bulk 0, bulk 1, bulk 2']);
    expect(plan(3, 2)).toEqual(['urgent 0, bulk 0, bulk 2', 'bulk 1']);
    expect(plan(3, 3)).toEqual(['urgent 0, bulk 0', 'bulk 1', 'bulk 2']);
    expect(plan(6, 4)).toEqual(['urgent 0', 'bulk 0, bulk 4', 'bulk 1, bulk 5', 'bulk 2', 'bulk 3']);
  });

  it.each([4, 5, 64])('gives faults a worker of their own on %d cores', (cores) => {
    expect(plan(1, cores)).toEqual(['urgent 0', 'bulk 0']);
    expect(plan(3, cores)).toEqual(['urgent 0', 'bulk 0', 'bulk 1', 'bulk 2']);
  });

  it.each([1, 2, 4, 8])('serves each of 16 channels once on %d cores', (cores) => {
    const all = plan(16, cores).flatMap((channels) => channels.split(', '));
    expect(all.sort()).toEqual(['urgent 0', ...Array.from({ length: 16 }, (_, i) => `bulk ${i}`)].sort());
  });
});

describe('niceFor', () => {
  it.each([
    [['urgent'], -20],
    [['bulk'], -10],
    [['bulk', 'bulk'], -10],
    [['urgent', 'bulk'], 0],
    [['bulk', 'urgent'], 0],
  ])('%j is %d', (kinds, nice) => {
    expect(niceFor(kinds)).toBe(nice);
  });

  it('puts faults before bulk; a worker of both leaves vCPUs their share', () => {
    const all = [['urgent'], ['bulk'], ['urgent', 'bulk']].map((kinds) => niceFor(kinds));
    expect(all).toEqual([...new Set(all)].sort((a, b) => a - b));
    expect(all.at(-1)).toBe(0);
  });
});
