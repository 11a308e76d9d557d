/** Commands that must fail: one clear line, the documented exit code, and nothing left behind. */
import { existsSync, readdirSync } from 'node:fs';
import { expect } from 'vitest';
import { complaints, postcopy, type CommandOptions } from './postcopy.js';

/** Runs a command that must fail, in a clean room (clean-room.ts), with one line that says why, and leave nothing. */
export async function fails(words: string[], code: number, why: RegExp, options: CommandOptions = {}): Promise<void> {
  const end = await postcopy(words, options);
  expect(complaints(end)).toEqual([expect.stringMatching(why)]);
  expect(complaints(end)[0]).toMatch(/^postcopy: /);
  expect(end.code).toBe(code);
  const runtime = process.env['POSTCOPY_RUNTIME_DIR']!;
  expect(existsSync(runtime) ? readdirSync(runtime) : []).toEqual([]);
}

/** Runs a command in a mount namespace of its own, after this. */
export function after(script: string): string[] {
  return ['unshare', '--mount', 'sh', '-c', `${script} && exec "$@"`, 'sh'];
}
