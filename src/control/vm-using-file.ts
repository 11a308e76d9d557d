import { sharesBytes } from '../host/disk-layers.js';
import { VmClient } from './client.js';
import { listNames } from './runtime-directory.js';

/** A process that does not answer is not the one that the message is about; it must not keep the message back. */
const ANSWER_WAIT_MS = 2000;

/** The name of another VM of this host that has a disk on this file; undefined if none says so. */
export async function vmUsingFile(path: string): Promise<string | undefined> {
  const users = await Promise.all(listNames().map(async (name) => ((await usesFile(name, path)) ? name : undefined)));
  return users.find((name) => name !== undefined);
}

async function usesFile(name: string, path: string): Promise<boolean> {
  const client = new VmClient(name);
  const timer = setTimeout(() => void client.close(), ANSWER_WAIT_MS);
  try {
    const { pid, disks = [] } = await client.status();
    return pid !== process.pid && disks.some((disk) => sharesBytes(disk.path, path));
  } catch {
    return false; // gone, or just starting
  } finally {
    clearTimeout(timer);
    await client.close();
  }
}
