/** Runs the command line as a user does, on the suite's kind of machine, and collects what it says. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { onMachine } from './machine.js';

const MAIN = join(new URL('../..', import.meta.url).pathname, 'dist/cli/main.js');
const TIMEOUT_MS = 100_000;

export interface CommandEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  /** Where the VM's control socket is. */
  runtimeDirectory?: string;
  /** A command that runs the words behind it, such as `unshare -m`. */
  within?: string[];
}

export function postcopy(words: string[], options: CommandOptions = {}): Promise<CommandEnd> {
  return startPostcopy(words, options).ended;
}

export interface RunningCommand {
  kill(signal: NodeJS.Signals): void;
  /** Resolves when that has been said on standard error. */
  says(text: string): Promise<void>;
  ended: Promise<CommandEnd>;
}

export function startPostcopy(words: string[], options: CommandOptions = {}): RunningCommand {
  const [command, ...rest] = [...(options.within ?? []), process.execPath, MAIN, ...onMachine(words)];
  const child = spawn(command!, rest, {
    env: {
      ...process.env,
      ...(options.runtimeDirectory === undefined ? {} : { POSTCOPY_RUNTIME_DIR: options.runtimeDirectory }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<CommandEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  const says = async (text: string): Promise<void> => {
    for (let over = false; !stderr.includes(text);) {
      if (over) throw new Error(`it has ended without "${text}": ${stderr}`);
      await Promise.race([once(child.stderr, 'data'), ended.then(() => (over = true))]);
    }
  };
  return { kill: (signal) => child.kill(signal), says, ended };
}

/** The lines on standard error; all of ours begin with the program's name. */
export function complaints(end: { stderr: string }): string[] {
  return end.stderr.split('\n').filter((line) => line !== '');
}
