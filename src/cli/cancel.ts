import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy cancel`: ends a VM's migration, if it still can be kept here. */
export async function cancelCommand(name: string): Promise<number> {
  await withClient(name, (client) => client.cancelMigration());
  return EXIT_OK;
}
