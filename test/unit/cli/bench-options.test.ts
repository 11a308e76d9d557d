import { describe, expect, test } from 'vitest';
import { parseBenchOptions, type BenchWords } from '../../../src/cli/bench-options.js';
import { GIB, MIB } from '../../../src/memory/page-size.js';

const DEFAULTS: BenchWords = {
  machine: 'kvm',
  ...{ link: 'loopback', memory: '1G', workingSet: '512M', cpus: '1', pattern: 'uniform', rounds: '5' },
  ...{ systems: 'postcopy,qemu-preempt,qemu', qemu: 'qemu-system-x86_64' },
};
const parse = (words: Partial<BenchWords> = {}) => parseBenchOptions({ ...DEFAULTS, ...words });

test('without options it is the standard loopback scenario', () => {
  const { scenarios, rounds, systems } = parse();
  expect(scenarios).toHaveLength(1);
  expect(scenarios[0]).toMatchObject({ name: 'loopback', workload: { memoryBytes: GIB, workingSetBytes: 512 * MIB } });
  expect(rounds).toBe(5);
  expect(systems).toEqual(['postcopy', 'qemu-preempt', 'qemu']);
});

test('another link is no standard scenario', () => {
  expect(parse({ link: '10g' }).scenarios[0]).toMatchObject({ name: 'custom', link: { rateBits: 1e10 } });
});

test('all are those of the targets, with the vCPUs asked for', () => {
  const { scenarios } = parse({ all: true, cpus: '2' });
  const names = ['loopback', '1g', 'rtt10', 'warm', 'ram-1g', 'ram-2g', 'ram-4g', 'ram-8g'];
  expect(scenarios.map(({ name }) => name)).toEqual(names);
  expect(scenarios.every(({ workload }) => workload.cpus === 2)).toBe(true);
  expect(scenarios.at(-1)).toMatchObject({
    systems: ['postcopy', 'postcopy-tls'],
    workload: { workingSetBytes: 4 * GIB },
  });
});

test('some are picked by name', () => {
  expect(parse({ scenario: ['warm', '1g'] }).scenarios.map(({ name }) => name)).toEqual(['1g', 'warm']);
});

test('orders of pages are compared with postcopy alone', () => {
  const { scenarios, systems, compares } = parse({ prefetch: true, cpus: '2' });
  expect([compares, systems]).toEqual(['prefetch', ['postcopy']]);
  expect(scenarios.map(({ name }) => name)).toContain('hotcold-1g-auto');
  expect(parse().compares).toBe('systems');
});

test('modes are compared in all of their scenarios, or in some', () => {
  const { scenarios, compares } = parse({ modes: true, cpus: '2' });
  expect(compares).toBe('modes');
  expect(scenarios).toHaveLength(12);
  expect(scenarios.every(({ workload }) => workload.cpus === 2)).toBe(true);
  const some = parse({ modes: true, scenario: ['hybrid-1g', 'busy-stop'] }).scenarios;
  expect(some.map(({ name }) => name)).toEqual(['busy-stop', 'hybrid-1g']);
  expect(() => parse({ modes: true, scenario: ['warm'] })).toThrow("'warm' is none of pre-copy-loopback");
});

test('a machine of threads takes more vCPUs, and is measured alone', () => {
  const options = parse({ machine: 'threads', cpus: '64' });
  expect(options).toMatchObject({ machine: 'threads', systems: ['postcopy'] });
  expect(options.scenarios[0]!.workload.cpus).toBe(64);
  const own = 'postcopy,postcopy-tls';
  expect(parse({ machine: 'threads', systems: `${own},qemu` }).systems.join()).toBe(own);
  expect(parse({ machine: 'threads', systems: 'qemu' }).systems).toEqual(['postcopy']);
});

describe('refused', () => {
  test.each<Partial<BenchWords>>([
    { scenario: ['nonsense'] },
    { systems: 'postcopy,xen' },
    { rounds: '0' },
    { cpus: '17' },
    { machine: 'threads', cpus: '65' },
    { machine: 'threads', systems: 'postcopy,xen' },
    { cpus: '1.5' },
    { pattern: 'zigzag' },
    { memory: '1' },
    { workingSet: '1020M' },
    { link: 'wifi' },
  ])('%o', (words) => expect(() => parse(words)).toThrow());
});
