/**
 * Checks of what a VM process answers: it may be of another version, or no `postcopy` at all. By light schemas, because
 * loading a schema library is a good part of a short command's time.
 */
import { PostcopyError, type Fact } from '../errors.js';
import { isFields, problemOf, type LightSchema } from './light-schema.js';
import { FACTS, MEASURE, PROGRESS, STATUS, SUMMARY } from './light-schemas.js';
import { isErrorCode } from './protocol.js';
import type { VmStatus, WriteMeasure } from '../vm/service.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';

export function asVmStatus(value: unknown): VmStatus {
  return as<VmStatus>(value, STATUS, 'status');
}

export function asProgress(value: unknown): MigrationProgress {
  return as<MigrationProgress>(value, PROGRESS, 'migration progress');
}

export function asSummary(value: unknown): MigrationSummary {
  return as<MigrationSummary>(value, SUMMARY, 'migration summary');
}

export function asMeasure(value: unknown): WriteMeasure {
  return as<WriteMeasure>(value, MEASURE, 'measure of writes');
}

/** The error of an error answer; undefined if it is none. */
export function asError(value: unknown): PostcopyError | undefined {
  const error = isFields(value) ? value.error : undefined;
  if (!isFields(error) || typeof error.message !== 'string') return undefined;
  const code = isErrorCode(error.code) ? error.code : 'INTERNAL';
  return new PostcopyError(code, error.message, undefined, asFacts(error.facts ?? []));
}

/** Facts of kinds that this version does not know stay: who has words for them looks for its own. */
function asFacts(value: unknown): Fact[] {
  return as<Fact[]>(value, FACTS, 'facts');
}

export function badAnswer(why: string): PostcopyError {
  return new PostcopyError(
    'BAD_PEER',
    `the VM's process gave an answer that is not understood (${why}): is it another version of postcopy?`,
  );
}

function as<T>(value: unknown, schema: LightSchema, what: string): T {
  const problem = problemOf(value, schema, what);
  if (problem !== undefined) throw badAnswer(problem);
  return value as T;
}
