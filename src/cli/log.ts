import type { Logger } from 'pino';

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const DEFAULT_LOG_LEVEL: LogLevel = 'warn';

const STDERR_FD = 2;

/** JSON lines on standard error, written at once, so that the last one before a crash is there. */
export async function createLogger(level: LogLevel): Promise<Logger> {
  const { pino } = await import('pino');
  const destination = pino.destination({ dest: STDERR_FD, sync: true });
  destination.on('error', () => {}); // as of process.stderr: see outliveReaders()
  return pino({ level }, destination);
}
