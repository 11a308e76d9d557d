/** Short administrative commands (ip, tc), run synchronously: they also undo things while the process ends. */
import { spawnSync } from 'node:child_process';
import { PostcopyError } from '../errors.js';

export function runCommand(...words: string[]): string {
  const [program, ...rest] = words;
  const { status, stdout, stderr, error } = spawnSync(program!, rest, { encoding: 'utf8' });
  if (error !== undefined || status !== 0) {
    const why = error?.message ?? stderr.trim();
    throw new PostcopyError('HOST_LACKS', `${words.join(' ')}: ${why}`, error);
  }
  return stdout;
}
