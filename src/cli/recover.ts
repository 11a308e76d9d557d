import { parseAddress } from '../configure/address.js';
import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy recover`: a migration whose link is broken looks for its destination at once, also at another address. */
export async function recoverCommand(name: string, to: string | undefined): Promise<number> {
  const address = to === undefined ? undefined : parseAddress(to, 'connect');
  await withClient(name, (client) => client.recover(address));
  return EXIT_OK;
}
