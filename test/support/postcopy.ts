/** Runs the command line as a user does, on the suite's kind of machine, and collects what it says. */
import { spawn } from 'node:child_process';
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

export async function postcopy(words: string[], options: CommandOptions = {}): Promise<CommandEnd> {
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
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout, stderr };
}

/** The lines on standard error; all of ours begin with the program's name. */
export function complaints(end: { stderr: string }): string[] {
  return end.stderr.split('\n').filter((line) => line !== '');
}
