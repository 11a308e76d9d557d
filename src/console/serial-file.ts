import { once } from 'node:events';
import { createWriteStream, statSync } from 'node:fs';
import { PostcopyError } from '../errors.js';
import type { SerialHub } from './serial-hub.js';
import type { SerialTarget } from './serial-stdio.js';

/** Consoles show passwords: nobody but the owner reads the log. */
const FILE_MODE = 0o600;

/**
 * Appends the serial port's output to a file; there is no input but from consoles. When writing fails later (a full
 * disk), the guest goes on without it.
 */
export async function openFileTarget(hub: SerialHub, path: string): Promise<SerialTarget> {
  refuseSpecialFile(path);
  const file = createWriteStream(path, { flags: 'a', mode: FILE_MODE });
  try {
    await once(file, 'open');
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `${path}: cannot write the serial port's output there`, error);
  }
  hub.addReader(file);
  return {
    async close() {
      if (file.destroyed) return;
      file.end();
      await once(file, 'close').catch(() => {});
    },
  };
}

/** Opening a FIFO waits for a reader. */
function refuseSpecialFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile() || found.isCharacterDevice()) return;
  throw new PostcopyError('BAD_CONFIG', `${path} is no regular file: the serial port's output cannot be written there`);
}
