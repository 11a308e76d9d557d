/** What the benchmark runs: a workload over a link, with some of the systems. */
import { PATTERNS } from '../trial/trial.js';
import { PostcopyError } from '../errors.js';
import { GIB, MIB } from '../memory/page-size.js';
import { parseLink, type LinkSpec } from './link/link-spec.js';
import type { Workload } from './result.js';
import { OWN_SYSTEMS, POSTCOPY_SYSTEMS, type SystemName } from './system.js';

export interface Scenario {
  name: string;
  title: string;
  workload: Workload;
  link: LinkSpec;
  systems: readonly SystemName[];
}

/** warm: every access of a vCPU goes to one page, whose wait is nothing but the downtime. */
export const BENCH_PATTERNS = [...PATTERNS, 'warm'] as const;

/** RTT_MS: named by the target that it is measured for. */
export const LONG_RTT_MS = 10;
export const SCALE_GIB = [1, 2, 4, 8];

export function scaleName(gib: number): string {
  return `ram-${gib}g`;
}

/** Those that answer the table of targets. */
export function standardScenarios(cpus: number): Scenario[] {
  const workload = { memoryBytes: GIB, workingSetBytes: 512 * MIB, cpus, pattern: 'uniform' };
  const scenario = (name: string, title: string, link: string, more: Partial<Workload> = {}): Scenario => {
    return { name, title, link: parseLink(link), workload: { ...workload, ...more }, systems: POSTCOPY_SYSTEMS };
  };
  return [
    scenario('loopback', 'Loopback, uniform access at full speed', 'loopback'),
    scenario('1g', '1 Gb/s, saturated by the push', '1g'),
    scenario('rtt10', 'A round trip of 10 ms', `rtt=${LONG_RTT_MS}`),
    scenario('warm', 'Loopback, one warm page', 'loopback', { pattern: 'warm' }),
    ...SCALE_GIB.map((gib) => ({
      ...scenario(scaleName(gib), `${gib} GiB of RAM, half of it at work`, 'loopback', {
        memoryBytes: gib * GIB,
        workingSetBytes: (gib * GIB) / 2,
      }),
      systems: OWN_SYSTEMS,
    })),
  ];
}

/** The named ones of the standard scenarios, in their order. */
export function pickScenarios(all: Scenario[], names: string[]): Scenario[] {
  const unknown = names.find((name) => !all.some((scenario) => scenario.name === name));
  if (unknown !== undefined) {
    const known = all.map(({ name }) => name).join(', ');
    throw new PostcopyError('BAD_CONFIG', `'${unknown}' is none of ${known}`);
  }
  return all.filter(({ name }) => names.includes(name));
}
