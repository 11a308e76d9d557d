/** The command line of `postcopy bench`, checked. */
import { parseLink } from '../bench/link/link-spec.js';
import { prefetchScenarios } from '../bench/prefetch.js';
import { modeScenarios } from '../bench/modes.js';
import { BENCH_PATTERNS, pickScenarios, standardScenarios, type Scenario } from '../bench/scenario.js';
import { OWN_SYSTEMS, POSTCOPY_SYSTEMS, SYSTEMS, type SystemName } from '../bench/system.js';
import type { MachineName } from '../configure/machine-setting.js';
import { describeError } from '../errors.js';
import { badOption, parseCpus, parseMemory, parsePattern, type WorkloadWords } from './workload-options.js';

const ROUNDS_MAX = 1000;

export interface BenchWords extends WorkloadWords {
  all?: boolean;
  prefetch?: boolean;
  modes?: boolean;
  scenario?: string[];
  link: string;
  rounds: string;
  systems: string;
  qemu: string;
  json?: string | undefined;
  html?: string | undefined;
}

export interface BenchOptions {
  machine: MachineName;
  scenarios: Scenario[];
  /** What they compare: systems, as a rule; orders of pages; or modes. */
  compares: 'systems' | 'prefetch' | 'modes';
  rounds: number;
  systems: SystemName[];
  qemu: string;
  json?: string | undefined;
  html?: string | undefined;
}

export function parseBenchOptions(words: BenchWords): BenchOptions {
  const cpus = parseCpus(words);
  const rounds = parseRounds(words.rounds);
  const named = parseSystems(words.systems);
  const all = words.machine === 'kvm' ? named : ownOf(named);
  const systems: SystemName[] = words.prefetch === true ? ['postcopy'] : all;
  return {
    machine: words.machine,
    scenarios: chooseScenarios(words, cpus),
    compares: words.prefetch === true ? 'prefetch' : words.modes === true ? 'modes' : 'systems',
    rounds,
    systems,
    qemu: words.qemu,
    json: words.json,
    html: words.html,
  };
}

function chooseScenarios(words: BenchWords, cpus: number): Scenario[] {
  const standard = standardScenarios(cpus);
  const { all, prefetch, modes, scenario: names } = words;
  if (prefetch === true) return prefetchScenarios(cpus);
  if (modes === true) {
    const each = modeScenarios(cpus);
    return names === undefined ? each : named('--scenario', () => pickScenarios(each, names));
  }
  if (all === true) return standard;
  if (names !== undefined) return named('--scenario', () => pickScenarios(standard, names));
  return [customScenario(words, cpus)];
}

function customScenario(words: BenchWords, cpus: number): Scenario {
  const memory = parseMemory(words);
  const pattern = parsePattern(words, BENCH_PATTERNS);
  const link = named('--link', () => parseLink(words.link));
  const title = `${words.memory} of RAM, ${words.workingSet} at work, ${pattern}, ${cpus} vCPUs, ${link.text}`;
  const name = isLoopbackStandard(words) ? 'loopback' : 'custom';
  return { name, title, workload: { ...memory, cpus, pattern }, link, systems: POSTCOPY_SYSTEMS };
}

/** What runs without options is the standard scenario, and answers the same targets. */
function isLoopbackStandard({ link, memory, workingSet, pattern }: BenchWords): boolean {
  return link === 'loopback' && memory === '1G' && workingSet === '512M' && pattern === 'uniform';
}

/** QEMU has no machine of threads. */
function ownOf(systems: SystemName[]): SystemName[] {
  const own = systems.filter((system) => OWN_SYSTEMS.includes(system));
  return own.length > 0 ? own : ['postcopy'];
}

function parseSystems(text: string): SystemName[] {
  const names = text.split(',');
  const unknown = names.find((name) => !SYSTEMS.some((system) => system === name));
  if (unknown !== undefined) throw badOption(`--systems: ${unknown} is none of ${SYSTEMS.join(', ')}`);
  return SYSTEMS.filter((system) => names.includes(system));
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= ROUNDS_MAX) return rounds;
  throw badOption(`--rounds must be a whole number from 1 to ${ROUNDS_MAX}`);
}

/** Says which option it is that cannot be used. */
function named<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw badOption(`${option}: ${describeError(error)}`);
  }
}
