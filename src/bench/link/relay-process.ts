import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Cleanup } from '../../basics/cleanup.js';
import { packageRoot } from '../../native.js';
import type { Endpoint } from '../system.js';

/** Resolves when it listens, to its port; it ends with the cleanup, or with this process. */
export async function startRelay(
  launcher: string[],
  listen: Endpoint,
  to: Endpoint,
  delayMs: number,
  cleanup: Cleanup,
): Promise<number> {
  const main = join(packageRoot, 'dist/bench/link/relay-main.js');
  const ends = [listen, to].flatMap(({ host, port }) => [host, String(port)]);
  const [program, ...words] = [...launcher, process.execPath, main, ...ends, String(delayMs)];
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  cleanup.add(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const [said] = (await Promise.race([once(child.stdout, 'data'), ended])) as [unknown];
  if (!Buffer.isBuffer(said)) throw new Error('the relay did not start');
  return Number(said.toString());
}
