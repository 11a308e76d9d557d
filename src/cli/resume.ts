import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy resume`: lets a paused VM go on. */
export async function resumeCommand(name: string): Promise<number> {
  await withClient(name, (client) => client.resume());
  return EXIT_OK;
}
