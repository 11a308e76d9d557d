import { VmClient } from '../control/client.js';

/** Runs one conversation with a VM's process. */
export async function withClient<T>(name: string, talk: (client: VmClient) => Promise<T>): Promise<T> {
  const client = new VmClient(name);
  try {
    return await talk(client);
  } finally {
    await client.close();
  }
}
