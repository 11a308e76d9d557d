/** The command line of `postcopy bench`, checked. */
import { parseSize } from '../basics/size.js';
import { CPUS_MAX, type MachineName } from '../configure/machine-setting.js';
import { PostcopyError } from '../errors.js';
import { MIB } from '../memory/page-size.js';
import { parseLink } from './link/link-spec.js';
import { BENCH_PATTERNS, pickScenarios, standardScenarios, type Scenario } from './scenario.js';
import { SYSTEMS, type SystemName } from './system.js';

export interface BenchWords {
  machine: MachineName;
  all?: boolean;
  scenario?: string[];
  link: string;
  memory: string;
  workingSet: string;
  cpus: string;
  pattern: string;
  rounds: string;
  systems: string;
  qemu: string;
  json?: string;
  html?: string;
}

export interface BenchOptions {
  machine: MachineName;
  scenarios: Scenario[];
  rounds: number;
  systems: SystemName[];
  qemu: string;
  json?: string;
  html?: string;
}

export function parseBenchOptions(words: BenchWords): BenchOptions {
  const cpus = wholeNumber('--cpus', words.cpus, CPUS_MAX[words.machine]);
  const rounds = wholeNumber('--rounds', words.rounds, 1000);
  const named = parseSystems(words.systems);
  // QEMU has no machine of threads.
  const systems: SystemName[] = words.machine === 'kvm' ? named : ['postcopy'];
  return {
    machine: words.machine,
    scenarios: chooseScenarios(words, cpus),
    rounds,
    systems,
    qemu: words.qemu,
    json: words.json,
    html: words.html,
  };
}

function chooseScenarios(words: BenchWords, cpus: number): Scenario[] {
  const standard = standardScenarios(cpus);
  if (words.all === true) return standard;
  if (words.scenario !== undefined) return pickScenarios(standard, words.scenario);
  return [customScenario(words, cpus)];
}

function customScenario(words: BenchWords, cpus: number): Scenario {
  const memoryBytes = parseSize(words.memory);
  const workingSetBytes = parseSize(words.workingSet);
  const pattern = BENCH_PATTERNS.find((name) => name === words.pattern);
  if (memoryBytes === undefined || workingSetBytes === undefined) {
    throw new PostcopyError('BAD_CONFIG', '--memory and --working-set must be sizes, like 1G or 512M');
  }
  if (pattern === undefined) {
    throw new PostcopyError('BAD_CONFIG', `--pattern must be one of ${BENCH_PATTERNS.join(', ')}`);
  }
  // The guest itself, its page tables and its ledger need some of its memory.
  if (workingSetBytes > memoryBytes - 16 * MIB - memoryBytes / 64) {
    throw new PostcopyError('BAD_CONFIG', '--working-set must leave the guest some of its --memory');
  }
  const link = parseLink(words.link);
  const title = `${words.memory} of RAM, ${words.workingSet} at work, ${pattern}, ${cpus} vCPUs, ${link.text}`;
  const name = isLoopbackStandard(words) ? 'loopback' : 'custom';
  return { name, title, workload: { memoryBytes, workingSetBytes, cpus, pattern }, link, systems: SYSTEMS };
}

/** What runs without options is the standard scenario, and answers the same targets. */
function isLoopbackStandard({ link, memory, workingSet, pattern }: BenchWords): boolean {
  return link === 'loopback' && memory === '1G' && workingSet === '512M' && pattern === 'uniform';
}

function parseSystems(text: string): SystemName[] {
  const names = text.split(',');
  const unknown = names.find((name) => !SYSTEMS.some((system) => system === name));
  if (unknown !== undefined) {
    throw new PostcopyError('BAD_CONFIG', `--systems: ${unknown} is none of ${SYSTEMS.join(', ')}`);
  }
  return SYSTEMS.filter((system) => names.includes(system));
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new PostcopyError('BAD_CONFIG', `${option} must be a whole number from 1 to ${most}`);
  }
  return value;
}
