import { createHash } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Input {
  path: string;
  /** Names of files and folders that do not matter, at any depth. */
  except?: readonly string[];
}

function* filesBelow({ path, except = [] }: Input): Generator<string> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  // Size and time tell a change as make does; reading a hundred megabytes each time would be felt.
  yield `${path} ${stat.mode} ${stat.isDirectory() ? '' : `${stat.size} ${stat.mtimeMs}`}`;
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path).sort()) {
    if (!except.includes(name)) yield* filesBelow({ path: join(path, name), except });
  }
}

/** Changes when a file in the inputs does, or `recipe`, which stands for how they are used. */
export function fingerprint(recipe: string, inputs: readonly Input[]): string {
  const hash = createHash('sha256').update(recipe);
  for (const input of inputs) for (const file of filesBelow(input)) hash.update(file).update('\n');
  return hash.digest('hex').slice(0, 16);
}
