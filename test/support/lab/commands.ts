import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUTPUT_LIMIT = 64 * 1024 * 1024;
const TIME_LIMIT_MS = 120_000;

export interface RunOptions {
  cwd?: string;
  /** Milliseconds; default two minutes. */
  timeout?: number;
}

/** Runs a program on this machine; its output. Throws with what it printed. */
export async function runHere(program: string, args: string[], options: RunOptions = {}): Promise<string> {
  try {
    const { stdout } = await run(program, args, { timeout: TIME_LIMIT_MS, maxBuffer: OUTPUT_LIMIT, ...options });
    return stdout;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error(`The lab needs the program ${program}: run scripts/lab, which installs it.`, { cause });
    }
    throw new Error(`${program} ${args.join(' ')} failed: ${(cause as Error).message}`, { cause });
  }
}

/** Runs shell commands on this machine, up to the first that fails. */
export function shellHere(commands: string, options?: RunOptions): Promise<string> {
  return runHere('sh', ['-e', '-c', commands], options);
}
