/**
 * Checks of what a VM process answers: it may be of another version, or no `postcopy` at all. By hand and only as far as
 * the CLI relies on it, because loading a schema library is a good part of a short command's time.
 */
import { PostcopyError, type Fact } from '../errors.js';
import { isErrorCode } from './protocol.js';
import type { VmStatus } from '../vm/service.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';

type Fields = Record<string, unknown>;

export function asVmStatus(value: unknown): VmStatus {
  const status = asObject(value, 'status');
  requireFields(status, 'status', {
    name: 'string',
    pid: 'number',
    version: 'string',
    machine: 'string',
    state: 'string',
  });
  requireFields(status, 'status', { memoryBytes: 'number', cpus: 'number', uptimeMs: 'number' });
  if (status.migration !== undefined) asProgress(status.migration);
  asFacts(status.facts);
  for (const disk of asList(status.disks, 'disks')) {
    requireFields(asObject(disk, 'disk'), 'disk', { id: 'string', path: 'string' });
  }
  for (const net of asList(status.nets, 'nets')) {
    requireFields(asObject(net, 'net'), 'net', { id: 'string', mac: 'string', tap: 'string' });
  }
  return status as unknown as VmStatus;
}

export function asProgress(value: unknown): MigrationProgress {
  const progress = asObject(value, 'migration progress');
  requireFields(progress, 'migration progress', { phase: 'string', pagesLeft: 'number', pagesTotal: 'number' });
  requireFields(progress, 'migration progress', {
    bytesPerSecond: 'number',
    faultsWaiting: 'number',
    elapsedMs: 'number',
  });
  return progress as unknown as MigrationProgress;
}

export function asSummary(value: unknown): MigrationSummary {
  const what = 'migration summary';
  const summary = asObject(value, what);
  requireFields(summary, what, {
    status: 'string',
    mode: 'string',
    machine: 'string',
    totalMs: 'number',
    downtimeMs: 'number',
  });
  requireFields(summary, what, { wireBytes: 'number', vcpuBlockedMs: 'number' });
  requireNumbers(summary.pages, `${what}: pages`, ['total', 'sent', 'demanded', 'pushed', 'absent', 'resent']);
  requireNumbers(summary.faultWaitUs, `${what}: faultWaitUs`, ['count', 'mean', 'p50', 'p90', 'p99', 'max']);
  requireNumbers(summary.memory, `${what}: memory`, ['sourcePeakBytes', 'destinationPeakBytes', 'sumPeakBytes']);
  if (summary.error !== undefined) {
    const error = asObject(summary.error, what);
    requireFields(error, what, { code: 'string', message: 'string' });
    asFacts(error.facts);
  }
  return summary as unknown as MigrationSummary;
}

/** The error of an error answer; undefined if it is none. */
export function asError(value: unknown): PostcopyError | undefined {
  const error = isObject(value) ? value.error : undefined;
  if (!isObject(error) || typeof error.message !== 'string') return undefined;
  const code = isErrorCode(error.code) ? error.code : 'INTERNAL';
  return new PostcopyError(code, error.message, undefined, asFacts(error.facts));
}

/** Facts of kinds that this version does not know stay: who has words for them looks for its own. */
function asFacts(value: unknown): Fact[] {
  const facts = asList(value, 'facts').map((fact) => asObject(fact, 'fact'));
  for (const fact of facts) requireFields(fact, 'fact', { kind: 'string' });
  return facts as unknown as Fact[];
}

export function badAnswer(why: string): PostcopyError {
  return new PostcopyError(
    'BAD_PEER',
    `the VM's process gave an answer that is not understood (${why}): is it another version of postcopy?`,
  );
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown, what: string): Fields {
  if (!isObject(value)) throw badAnswer(`no ${what}`);
  return value;
}

/** A list that may be left out. */
function asList(value: unknown, what: string): unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw badAnswer(`${what} are no list`);
  return value;
}

function requireNumbers(value: unknown, what: string, names: string[]): void {
  requireFields(asObject(value, what), what, Object.fromEntries(names.map((name) => [name, 'number'])));
}

function requireFields(object: Fields, what: string, types: Record<string, 'string' | 'number'>): void {
  for (const [name, type] of Object.entries(types)) {
    if (typeof object[name] !== type) throw badAnswer(`${what} without ${name}`);
  }
}
