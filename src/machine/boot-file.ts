/**
 * Kernel and initrd, read from this host's files. A guest that resets itself has them read again: it may be meant to boot what
 * lies there by now. What they hash to is kept for as long as they are the same files, unchanged: a guest that resets itself
 * in a loop costs its host no more than it must.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { PostcopyError } from '../errors.js';

/** A boot file as the destination of a migration is told of it. */
export interface BootFile {
  role: 'kernel' | 'initrd';
  path: string;
  bytes: number;
  sha256: string;
}

/** By path. A process has few VMs, and each of them two files. */
const hashed = new Map<string, { version: string; sha256: string }>();

/** A file whose last change is younger may change again within the same tick of its clock. */
const SETTLED_NS = 2_000_000_000n;

/** Throws BAD_KERNEL. */
export async function readBootFile(
  role: BootFile['role'],
  path: string,
): Promise<{ content: Uint8Array; description: BootFile }> {
  const { content, version } = await readRegularFile(role, path);
  const sha256 = hashOf(resolve(path), version, content);
  return { content, description: { role, path: resolve(path), bytes: content.length, sha256 } };
}

function hashOf(path: string, version: string | undefined, content: Uint8Array): string {
  const known = hashed.get(path);
  if (known !== undefined && known.version === version) return known.sha256;
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (version !== undefined) hashed.set(path, { version, sha256 });
  return sha256;
}

/** A device may never end, and fill this host's memory; a FIFO would have nothing for the guest's next boot. */
async function readRegularFile(role: BootFile['role'], path: string) {
  try {
    const before = await stat(path, { bigint: true });
    if (before.isFile()) {
      const content = await readFile(path);
      const version = versionOf(before);
      return { content, version: version === versionOf(await stat(path, { bigint: true })) ? version : undefined };
    }
  } catch (error) {
    throw new PostcopyError('BAD_KERNEL', `cannot read ${role} ${path}`, error);
  }
  throw new PostcopyError('BAD_KERNEL', `${role} ${path} is no regular file: give one`);
}

/** Another one for another file, or another content of it; undefined if that cannot be told yet. */
function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string | undefined {
  const isSettled = BigInt(Date.now()) * 1_000_000n - ctimeNs > SETTLED_NS;
  return isSettled ? [dev, ino, size, mtimeNs, ctimeNs].join(' ') : undefined;
}
