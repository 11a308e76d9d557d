/** The workload of `postcopy demo` and `postcopy bench`, checked. */
import { parseSize } from '../basics/size.js';
import { cpusProblem, type MachineName } from '../configure/machine-setting.js';
import { PostcopyError } from '../errors.js';
import { MIB } from '../memory/page-size.js';

export interface WorkloadWords {
  machine: MachineName;
  memory: string;
  workingSet: string;
  cpus: string;
  pattern: string;
}

/** Throws BAD_CONFIG, as all here. */
export function parseCpus({ machine, cpus }: WorkloadWords): number {
  const problem = cpusProblem(machine, Number(cpus));
  if (problem !== undefined) throw badOption(`--cpus ${problem}`);
  return Number(cpus);
}

export function parsePattern<Pattern extends string>(words: WorkloadWords, patterns: readonly Pattern[]): Pattern {
  const pattern = patterns.find((name) => name === words.pattern);
  if (pattern === undefined) throw badOption(`--pattern must be one of ${patterns.join(', ')}`);
  return pattern;
}

export function parseMemory(words: WorkloadWords): { memoryBytes: number; workingSetBytes: number } {
  const memoryBytes = parseSize(words.memory);
  const workingSetBytes = parseSize(words.workingSet);
  if (memoryBytes === undefined || workingSetBytes === undefined) {
    throw badOption('--memory and --working-set must be sizes, like 1G or 512M');
  }
  // The guest itself, its page tables and its ledger need some of its memory.
  if (workingSetBytes > memoryBytes - 16 * MIB - memoryBytes / 64) {
    throw badOption('--working-set must leave the guest some of its --memory');
  }
  return { memoryBytes, workingSetBytes };
}

export function badOption(message: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', message);
}
