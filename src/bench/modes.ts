/**
 * What `bench --modes` compares: pre-copy and hybrid with QEMU's, hybrid with postcopy's own post-copy, and how well a limit of
 * the bandwidth is held. The guest works at a given rate; where none should be able to follow it, at full speed.
 */
import { MIB } from '../memory/page-size.js';
import type { GivenMigrateOptions, OnTimeout } from '../migrate/options.js';
import { parseLink } from './link/link-spec.js';
import type { Scenario } from './scenario.js';
import type { SystemName } from './system.js';

export const MODE_LINKS = ['loopback', '1g'] as const;
/** How long the guest may stand still in pre-copy. */
export const DOWNTIME_MS = 100;
export const BANDWIDTH = 50 * MIB;
export const BANDWIDTH_RTT_MS = 10;
export const BANDWIDTH_CHANNELS = [1, 4, 16];

const MEMORY = 512 * MIB;
const WORKING_SET = 256 * MIB;
/** Accesses a second of each vCPU: what is written while 1 Gb/s sends all of it takes rounds, and fewer each time. */
const RATE = 10_000;
/** Two passes at 1 Gb/s. */
const BUSY_TIMEOUT_S = 5;

interface Guest {
  pattern: string;
  rate?: number;
}

const AT_RATE: Guest = { pattern: 'uniform', rate: RATE };
const BUSY: Guest = { pattern: 'uniform' };
const HOT_COLD: Guest = { pattern: 'hotcold', rate: RATE };

export function modeScenarios(cpus: number): Scenario[] {
  const scenario = (name: string, link: string, guest: Guest, migrate: GivenMigrateOptions, systems: SystemName[]) => {
    const workload = { memoryBytes: MEMORY, workingSetBytes: WORKING_SET, cpus, ...guest, migrate };
    const works = guest.rate === undefined ? 'at full speed' : 'at a rate';
    const title = `${name}: ${guest.pattern} ${works}, ${link}`;
    return { name, title, workload, link: parseLink(link), systems };
  };
  const precopy = { mode: 'pre-copy', downtime: DOWNTIME_MS } as const;
  const busy = (onTimeout: OnTimeout, systems: SystemName[]) =>
    scenario(`busy-${onTimeout}`, '1g', BUSY, { ...precopy, timeout: BUSY_TIMEOUT_S, onTimeout }, systems);
  return [
    ...MODE_LINKS.map((link) =>
      scenario(`pre-copy-${link}`, link, AT_RATE, { ...precopy, onTimeout: 'cancel' }, [
        'postcopy',
        'qemu',
        'qemu-multifd',
      ]),
    ),
    busy('cancel', ['postcopy', 'qemu']),
    busy('post-copy', ['postcopy', 'qemu-preempt']),
    busy('stop', ['postcopy']),
    ...MODE_LINKS.flatMap((link) => [
      scenario(`hybrid-${link}`, link, HOT_COLD, { mode: 'hybrid' }, ['postcopy', 'qemu-preempt', 'qemu']),
      scenario(`post-copy-${link}`, link, HOT_COLD, {}, ['postcopy']),
    ]),
    ...BANDWIDTH_CHANNELS.map((channels) => {
      const migrate = { bandwidth: BANDWIDTH, channels };
      return scenario(`bandwidth-${channels}`, `rtt=${BANDWIDTH_RTT_MS}`, AT_RATE, migrate, ['postcopy']);
    }),
  ];
}
