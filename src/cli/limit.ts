import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy limit`: changes how fast a VM's migration may send, or lifts the limit (null). */
export async function limitCommand(name: string, bandwidth: number | null): Promise<number> {
  await withClient(name, (client) => client.limit({ bandwidth }));
  return EXIT_OK;
}
