import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { PostcopyError } from '../errors.js';

/** Told now, not after all that is to be in the file. `what` it is; throws BAD_CONFIG. */
export function requireWritable(file: string, what: string): void {
  const wasThere = existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `${file}: the ${what} cannot be written there`, error);
  }
  if (!wasThere) rmSync(file);
}
