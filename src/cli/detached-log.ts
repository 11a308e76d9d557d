import { closeSync, renameSync, rmSync, writeSync } from 'node:fs';
import { logPath } from '../control/runtime-directory.js';

/** Tells a process that it is the one in the background, and where its standard error goes. */
export const LOG_VARIABLE = 'POSTCOPY_DETACHED_LOG';

/**
 * What a process in the background says on standard error it says here as well, until its VM is there: the log is a file,
 * and may have no room.
 */
export const TOLD_FD = 3;
let starting = process.env[LOG_VARIABLE] !== undefined;

export function tellStarter(text: string): void {
  if (!starting) return;
  try {
    writeSync(TOLD_FD, text);
  } catch {
    starting = false; // nobody waits any more
  }
}

/** The log of a VM process in the background. */
export interface DetachedLog {
  /** The name is this process's, and its VM is there. */
  take(name: string): void;
  /** All went well: there is nothing to read in it. */
  remove(name: string): void;
}

/** Undefined in the foreground. */
export function detachedLog(): DetachedLog | undefined {
  const path = process.env[LOG_VARIABLE];
  if (path === undefined) return undefined;
  return {
    take(name) {
      renameSync(path, logPath(name));
      if (starting) closeSync(TOLD_FD);
      starting = false;
    },
    remove: (name) => rmSync(logPath(name), { force: true }),
  };
}
