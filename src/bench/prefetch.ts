/**
 * What `bench --prefetch` compares: every order of pages, on traces that are made up in simulated time, and with guests that
 * run. Those touch memory at a given rate: a guest that does it as fast as it can waits for all of it in any order.
 */
import { MIB } from '../memory/page-size.js';
import { PREFETCH_POLICIES, type PrefetchName } from '../migrate/options.js';
import { MADE_UP, madeUpTrace } from '../replay/made-up.js';
import { COSTS, type Model } from '../replay/model.js';
import type { Outcome } from '../replay/outcome.js';
import { replay } from '../replay/replay.js';
import { parseLink } from './link/link-spec.js';
import type { Scenario } from './scenario.js';

export interface Replayed {
  trace: string;
  link: string;
  outcomes: Record<PrefetchName, Outcome>;
}

const CPUS = 2;
/** Without a round trip of their own, those that a replay has too. */
const REPLAYED: readonly [link: string, model: Model][] = [
  ['loopback', { rateBits: Infinity, roundTrip: 10, cpus: CPUS, costs: COSTS }],
  ['1g', { rateBits: 1e9, roundTrip: 60, cpus: CPUS, costs: COSTS }],
  ['1g,rtt=10', { rateBits: 1e9, roundTrip: 10_000, cpus: CPUS, costs: COSTS }],
];

export function replayAll(): Replayed[] {
  return MADE_UP.flatMap((name) => {
    const trace = madeUpTrace(name);
    return REPLAYED.map(([link, model]): Replayed => {
      const outcomes = PREFETCH_POLICIES.map((policy) => [policy, replay(trace, policy, model)]);
      return { trace: name, link, outcomes: Object.fromEntries(outcomes) as Replayed['outcomes'] };
    });
  });
}

/** Accesses a second of each vCPU: a link of 1 Gb/s brings nearly three times as many pages. */
const RATE = 10_000;
const PATTERNS = ['uniform', 'hotcold', 'sequential'];
const LINKS = ['loopback', '1g'];
const MEMORY = 512 * MIB;
const WORKING_SET = 256 * MIB;

export function prefetchScenarios(cpus: number): Scenario[] {
  return PATTERNS.flatMap((pattern) =>
    LINKS.flatMap((link) =>
      PREFETCH_POLICIES.map((prefetch): Scenario => {
        const sizes = { memoryBytes: MEMORY, workingSetBytes: WORKING_SET };
        return {
          name: `${pattern}-${link}-${prefetch}`,
          title: `${pattern}, ${link}, ${prefetch}`,
          workload: { ...sizes, cpus, pattern, rate: RATE, migrate: { prefetch } },
          link: parseLink(link),
          systems: ['postcopy'],
        };
      }),
    ),
  );
}
