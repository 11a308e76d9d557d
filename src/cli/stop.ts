import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy stop`: ends the VM at once, as a power cut does. */
export async function stopCommand(name: string): Promise<number> {
  await withClient(name, (client) => client.stop());
  return EXIT_OK;
}
