/**
 * The control API of a VM process: HTTP/1.1 over the Unix socket NAME.sock, JSON bodies, paths with a version.
 *
 *   GET  /v1/vm           VmStatus
 *   POST /v1/vm/pause     {}
 *   POST /v1/vm/resume    ResumeRequest
 *   POST /v1/vm/stop      StopRequest; answered when the VM has ended, the process ends after that
 *   POST /v1/vm/migrate   MigrateRequest; the answer is a stream of lines (NDJSON): MigrationProgress, ..., and last
 *                         {"summary": MigrationSummary} or {"error": {"code", "message", "facts"}}
 *   DELETE /v1/vm/migrate {}; ends a migration that has not handed the VM over
 *   POST /v1/vm/limit     LimitRequest; how fast a migration may send from now on
 *   POST /v1/vm/measure   MeasureRequest; how many pages the guest writes: WriteMeasure
 *   POST /v1/vm/recover   RecoverRequest; a migration whose link is broken looks for the destination at once
 *   GET  /v1/console      with `Upgrade: postcopy-console`: after 101 the connection is the serial console, or the
 *                         one of ?port=virtio
 *
 *   GET  /v1/openapi.json this API as an OpenAPI document: src/control/openapi.json
 *
 * An error's answer is {"error": {"code", "message", "facts"}} with a fitting status; `code` is an ErrorCode, `facts` a list
 * of Fact that is left out if there are none. Within a version, fields and facts may be added: clients ignore those that
 * they do not know.
 */
import type { ErrorCode, Fact } from '../errors.js';

export const VM_PATH = '/v1/vm';
export const PAUSE_PATH = '/v1/vm/pause';
export const RESUME_PATH = '/v1/vm/resume';
export const STOP_PATH = '/v1/vm/stop';
export const MIGRATE_PATH = '/v1/vm/migrate';
export const LIMIT_PATH = '/v1/vm/limit';
export const MEASURE_PATH = '/v1/vm/measure';
export const RECOVER_PATH = '/v1/vm/recover';
export const CONSOLE_PATH = '/v1/console';
/** The value of Upgrade (RFC 9110, 7.8) for the console. */
export const CONSOLE_PROTOCOL = 'postcopy-console';
export const OPENAPI_PATH = '/v1/openapi.json';
export const NDJSON = 'application/x-ndjson';

export interface ErrorBody {
  error: { code: ErrorCode; message: string; facts?: readonly Fact[] };
}

/** HTTP status for each error, RFC 9110 section 15. */
export const HTTP_STATUS: Record<ErrorCode, number> = {
  BAD_CONFIG: 400,
  BAD_KERNEL: 400,
  HOST_LACKS: 507,
  NAME_IN_USE: 409,
  NO_SUCH_VM: 404,
  ADDRESS_IN_USE: 409,
  DISK_IN_USE: 409,
  UNREACHABLE: 502,
  BAD_PEER: 502,
  REFUSED: 502,
  WRONG_STATE: 409,
  MIGRATION_FAILED: 502,
  LINK_LOST: 502,
  GUEST_FAILED: 500,
  NO_REACTION: 504,
  INTERNAL: 500,
};

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(HTTP_STATUS, code);
}
