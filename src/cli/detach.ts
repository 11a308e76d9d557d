/**
 * `run --detach` and `receive --detach`: the same command line once more, in a process of its own session, until its VM
 * answers. What it says goes to a log: NAME.log in the runtime directory while it lives, and after an end with an error.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { logPath } from '../control/runtime-directory.js';
import { ensureRuntimeDirectory } from '../host/runtime-directory.js';
import { exitCodeOf, exitCodeOfSignal, EXIT_OK } from './exit-codes.js';
import { LOG_VARIABLE, TOLD_FD } from './detached-log.js';
import { say, type Output } from './output.js';
import { onEndSignals, signalNumber, type EndSignal } from './signals.js';
import { withClient } from './with-client.js';

const OWNER_ONLY = 0o600;
const POLL_MS = 25;
const PROGRAM = [process.execPath, ...process.execArgv, fileURLToPath(new URL('./main.js', import.meta.url))];

/** Returns 0 when the VM runs, or waits for one to come; else, with nothing left behind, what its process exited with. */
export async function runDetached(name: string, words: string[], output: Output, program = PROGRAM): Promise<number> {
  // No VM's name begins with a dot. Once the name is its own, the process gives its log the VM's name.
  const path = join(ensureRuntimeDirectory(), `.${name}.${process.pid}.log`);
  const log = openSync(path, 'ax+', OWNER_ONLY);
  try {
    const child = spawn(program[0]!, [...program.slice(1), ...words], {
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
      env: { ...process.env, [LOG_VARIABLE]: path },
    });
    const said = heard(child.stdio[TOLD_FD] as Readable);
    const exitCode = await untilReady(name, child, output);
    const text = textOf(log);
    // Where there is no room for a log, what it lacks was told nevertheless.
    output.err(text.includes(said()) ? text : text + said());
    if (exitCode !== EXIT_OK) removeIfOurs(logPath(name), log);
    child.unref();
    return exitCode;
  } finally {
    rmSync(path, { force: true });
    closeSync(log);
  }
}

/** A signal that comes meanwhile is for the VM's process too. */
async function untilReady(name: string, child: ChildProcess, output: Output): Promise<number> {
  let asked: EndSignal | undefined;
  const forget = onEndSignals((signal) => child.kill((asked = signal)));
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  exited.catch(() => {}); // told below
  try {
    for (;;) {
      const end = await Promise.race([exited, delay(POLL_MS)]);
      if (asked !== undefined) return exitCodeOfSignal((await exited, signalNumber(asked)));
      if (end !== undefined) return exitCodeOfChild(end, output);
      if (await answers(name, child.pid!)) return EXIT_OK;
    }
  } finally {
    forget();
  }
}

function exitCodeOfChild([code, signal]: [number | null, NodeJS.Signals | null], output: Output): number {
  if (code !== null) return code;
  say(output, `the VM's process was killed by ${signal}`);
  return exitCodeOf('INTERNAL');
}

/** Another process may have the name. */
async function answers(name: string, pid: number): Promise<boolean> {
  const status = await withClient(name, (client) => client.status()).catch(() => undefined);
  return status?.pid === pid;
}

/** What has come so far. */
function heard(stream: Readable): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString())).on('error', () => {});
  return () => text;
}

function textOf(log: number): string {
  const bytes = Buffer.alloc(fstatSync(log).size);
  return bytes.toString('utf8', 0, readSync(log, bytes, 0, bytes.length, 0));
}

function removeIfOurs(path: string, log: number): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.ino === fstatSync(log).ino) rmSync(path, { force: true });
}
