import { describeError, PostcopyError } from '../errors.js';
import type { LogLevel } from './log.js';
import { say, type Output } from './output.js';

/** One clear line on standard error; the stack with all causes where the log level asks for it. */
export function reportError(output: Output, error: unknown, level: LogLevel): void {
  say(output, messageOf(error));
  if (level === 'debug' || level === 'trace') output.err(`${stackOf(error)}\n`);
}

function messageOf(error: unknown): string {
  const message = describeError(error);
  return error instanceof PostcopyError ? message : `internal error: ${message} (--log-level debug shows where)`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by ${stackOf(error.cause)}`;
}
