import { fstatSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { plain } from '../basics/plain.js';
import { TerminalOutput } from '../console/terminal-output.js';
import { describeError, factsOf, PostcopyError } from '../errors.js';
import { advised } from './advice.js';
import { tellStarter } from './detached-log.js';

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const DEFAULT_LOG_LEVEL: LogLevel = 'warn';

const STDERR_FD = 2;

/** Where a command writes; injected, so that tests read it. */
export interface Output {
  /** Results, to standard output. */
  out(text: string): void;
  /** Everything else, to standard error. */
  err(text: string): void;
}

/** The first error of writing a result. */
let resultLost: NodeJS.ErrnoException | undefined;

/** What a VM's process says does not wait for whoever reads it; see neverWaitForReader(). */
let unhurried: TerminalOutput | undefined;
/** What nobody reads is lost from here on. */
const UNREAD_BYTES_MAX = 256 * 1024;
const LAST_WORDS_MS = 1000;

export const processOutput: Output = {
  out: (text) => void process.stdout.write(text, (error) => (resultLost ??= error ?? undefined)),
  err(text) {
    tellStarter(text);
    if (unhurried === undefined) process.stderr.write(text);
    else if (unhurried.writableLength < UNREAD_BYTES_MAX) unhurried.write(text);
  },
};

/**
 * For the process of a VM. Node's writes to a terminal or a pipe stop the main thread while nobody reads (Ctrl-S, a remote
 * login that has frozen), and with it the control socket, the signals and a migration.
 */
export function neverWaitForReader(): void {
  if (unhurried !== undefined || !(process.stderr.isTTY || fstatSync(STDERR_FD).isFIFO())) return;
  unhurried = TerminalOutput.open(STDERR_FD);
  unhurried?.on('error', () => {}); // see outliveReaders()
}

/** What was said to standard error is read, or nobody reads it. */
export async function allIsSaid(): Promise<void> {
  if (unhurried === undefined) return written(process.stderr);
  await Promise.race([written(unhurried), delay(LAST_WORDS_MS)]);
}

export function written(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

/**
 * A reader that has gone (`| head`, a dead `tee`) or a full disk must end no VM and no migration, as an 'error' event
 * that nobody listens to would: what cannot be written is lost.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** Why a result did not get to standard output, once all is written; not that its reader wanted no more of it. */
export function whyResultIsLost(): Error | undefined {
  return resultLost?.code === 'EPIPE' ? undefined : resultLost;
}

/** `postcopy: ...` on standard error, for each line of the message. */
export function say(output: Output, message: string): void {
  for (const line of message.split('\n')) output.err(`postcopy: ${plain(line)}\n`);
}

export function printJson(output: Output, value: unknown): void {
  output.out(`${JSON.stringify(value)}\n`);
}

/** One clear line on standard error; the stack with all causes where the log level asks for it. */
export function reportError(output: Output, error: unknown, level: LogLevel): void {
  say(output, messageOf(error));
  if (level === 'debug' || level === 'trace') output.err(`${stackOf(error)}\n`);
}

function messageOf(error: unknown): string {
  const message = advised(describeError(error), factsOf(error));
  return error instanceof PostcopyError ? message : `internal error: ${message} (--log-level debug shows where)`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by ${stackOf(error.cause)}`;
}

/** JSON lines on standard error; in a file they are written at once, so that the last one before a crash is there. */
export async function createLogger(level: LogLevel): Promise<Logger> {
  const { pino } = await import('pino');
  if (unhurried !== undefined) return pino({ level }, { write: (line) => void unhurried?.write(line) });
  const destination = pino.destination({ dest: STDERR_FD, sync: true });
  destination.on('error', () => {}); // as of process.stderr: see outliveReaders()
  return pino({ level }, destination);
}

/** One line on a terminal that is rewritten in place; nothing where standard error is no terminal. */
export interface LiveLine {
  show(text: string): void;
  /** Removes the line. */
  clear(): void;
}

export async function openLiveLine(wanted: boolean): Promise<LiveLine> {
  if (!wanted || process.stderr.isTTY !== true) return { show: () => {}, clear: () => {} };
  const { createLogUpdate } = await import('log-update');
  const update = createLogUpdate(process.stderr);
  return {
    show: (text) => update(text),
    clear: () => {
      update.clear();
      // Shows the cursor again.
      update.done();
    },
  };
}
