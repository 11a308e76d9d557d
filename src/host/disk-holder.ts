import { statSync, type BigIntStats } from 'node:fs';
import { VmClient } from '../control/client.js';
import { listNames } from '../control/runtime-directory.js';

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
    return pid !== process.pid && disks.some((disk) => isSameFile(disk.path, path));
  } catch {
    return false; // gone, or just starting
  } finally {
    clearTimeout(timer);
    await client.close();
  }
}

/** Two paths of one file, or two nodes of one block device. */
export function isSameFile(a: string, b: string): boolean {
  try {
    const [one, other] = [statSync(a, { bigint: true }), statSync(b, { bigint: true })];
    return identityOf(one) === identityOf(other);
  } catch {
    return false;
  }
}

function identityOf(stats: BigIntStats): string {
  return stats.isBlockDevice() ? `device ${stats.rdev}` : `${stats.dev} ${stats.ino}`;
}
