/** `postcopy replay`: what a migration would have been with another policy, link or host, in simulated time. */
import { readFileSync, statSync } from 'node:fs';
import { parseLink } from '../bench/link/link-spec.js';
import { formatTable } from '../basics/table.js';
import { parseSize } from '../basics/size.js';
import { describeError } from '../errors.js';
import { GIB, MIB, pagesFor } from '../memory/page-size.js';
import { PREFETCH_POLICIES, type PrefetchName } from '../migrate/options.js';
import { decodeTrace, TRACE_BYTES_MAX, TRACE_VCPUS_MAX, type Trace } from '../migrate/prefetch/trace.js';
import { MADE_UP, madeUpTrace, type Shape } from '../replay/made-up.js';
import { COSTS, type Model } from '../replay/model.js';
import type { Outcome } from '../replay/outcome.js';
import { replay } from '../replay/replay.js';
import { EXIT_OK } from './exit-codes.js';
import { printJson, type Output } from './output.js';
import { badOption } from './workload-options.js';

export interface ReplayWords {
  prefetch?: string;
  link: string;
  cpus: string;
  memory?: string;
  vcpus?: string;
  seed: string;
  json?: boolean;
}

const CPUS_MAX = 4096;
/** Columns of a trace that is made up have a byte for each page. */
const MEMORY_MAX = 1024 * GIB;
/** A round trip where none is given: of one host, or of two on one switch. */
const LOCAL_MS = 0.01;
const NEAR_MS = 0.06;

export function replayCommand(what: string, words: ReplayWords, output: Output): number {
  const policies = policiesOf(words);
  const model = modelOf(words);
  const trace = traceOf(what, words);
  const outcomes = policies.map((prefetch) => ({ prefetch, ...replay(trace, prefetch, model) }));
  if (words.json === true) printJson(output, { trace: what, link: words.link, cpus: model.cpus, outcomes });
  else output.out(`${headText(trace, what)}\n${outcomesText(outcomes)}`);
  return EXIT_OK;
}

function policiesOf({ prefetch }: ReplayWords): readonly PrefetchName[] {
  if (prefetch === undefined) return PREFETCH_POLICIES;
  const names = prefetch.split(',');
  const unknown = names.find((name) => !PREFETCH_POLICIES.some((policy) => policy === name));
  if (unknown !== undefined) throw badOption(`--prefetch: ${unknown} is none of ${PREFETCH_POLICIES.join(', ')}`);
  return PREFETCH_POLICIES.filter((policy) => names.includes(policy));
}

function modelOf({ link, cpus }: ReplayWords): Model {
  const { rateBits = Infinity, rttMs = rateBits === Infinity ? LOCAL_MS : NEAR_MS } = parseLink(link);
  return { rateBits, roundTrip: rttMs * 1000, cpus: parseCount('--cpus', cpus, CPUS_MAX), costs: COSTS };
}

function traceOf(what: string, words: ReplayWords): Trace {
  const shape = shapeOf(words);
  if (MADE_UP.includes(what)) return madeUpTrace(what, shape);
  if (words.memory !== undefined || words.vcpus !== undefined) {
    throw badOption(`--memory and --vcpus are for traces that are made up (${MADE_UP.join(', ')})`);
  }
  return decodeTrace(readTrace(what));
}

function shapeOf({ memory, vcpus, seed }: ReplayWords): Partial<Shape> {
  const shape: Partial<Shape> = { seed: parseCount('--seed', seed, 2 ** 32 - 1) };
  if (vcpus !== undefined) shape.vcpus = parseCount('--vcpus', vcpus, TRACE_VCPUS_MAX);
  if (memory === undefined) return shape;
  const bytes = parseSize(memory);
  if (bytes === undefined || bytes < MIB || bytes > MEMORY_MAX) throw badOption('--memory must be from 1M to 1024G');
  return { ...shape, pages: pagesFor(bytes) };
}

function readTrace(file: string): Buffer {
  let bytes: Buffer | undefined;
  try {
    if (statSync(file).size <= TRACE_BYTES_MAX) bytes = readFileSync(file);
  } catch (error) {
    throw badOption(`${file} is no trace that can be read, and none of ${MADE_UP.join(', ')}: ${describeError(error)}`);
  }
  if (bytes === undefined) throw badOption(`${file} is longer than a trace can be (2 GiB)`);
  return bytes;
}

function parseCount(option: string, text: string, most: number): number {
  const count = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (count >= 1 && count <= most) return count;
  throw badOption(`${option} must be a whole number from 1 to ${most}`);
}

function headText({ kind, pages, vcpus, times }: Trace, what: string): string {
  return `${what}: ${times.length} ${kind} of ${vcpus} vCPUs, in ${Math.round(pages / 256)} MiB`;
}

const HEADS = ['', 'total', 'longest stall', 'waited', 'faults', 'to 50 %', 'to 90 %', 'to 99 %', 'useless first'];

function outcomesText(outcomes: readonly (Outcome & { prefetch: PrefetchName })[]): string {
  const ms = (value: number) => `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`;
  const rows = outcomes.map((it) => [
    it.prefetch,
    ...[it.totalMs, it.longestStallMs, it.waitedMs].map(ms),
    String(it.faults),
    ...[it.to50Ms, it.to90Ms, it.to99Ms].map(ms),
    `${(it.uselessFirstBytes / MIB).toFixed(0)} MiB`,
  ]);
  return formatTable([HEADS, ...rows]);
}
