import { statSync, type BigIntStats } from 'node:fs';

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
