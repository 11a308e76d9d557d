import type { DiskConfig } from '../configure/disk.js';
import { PostcopyError, type ErrorCode, type Fact } from '../errors.js';

/** The name of another VM of this host that has a disk on this file; undefined if none says so. */
export type WhoUses = (path: string) => Promise<string | undefined>;

type Problem = [code: ErrorCode, why: string, facts?: Fact[]];

/** What to do about an errno of opening a disk. */
const OPEN_PROBLEMS: Record<string, Problem> = {
  ENOENT: [
    'BAD_CONFIG',
    'does not exist: make it (truncate -s 10G FILE), or say where the disk is on this host',
    [{ kind: 'disk-missing' }],
  ],
  ENOTDIR: ['BAD_CONFIG', 'does not exist'],
  EISDIR: ['BAD_CONFIG', 'is a directory: give a raw image or a block device'],
  EINVAL: ['BAD_CONFIG', 'is neither a file nor a block device'],
  EACCES: ['HOST_LACKS', 'may not be opened: run as root, or give this user the right to read and write it'],
  EPERM: ['HOST_LACKS', 'may not be opened: run as root, or give this user the right to read and write it'],
  EROFS: ['HOST_LACKS', 'is on a read-only file system: give the disk as read-only (readonly), or move it'],
};

/** A VM that comes brings what it has written to its disk: an empty file would be another one. */
const MISSING_AT_DESTINATION: Problem = [
  'BAD_CONFIG',
  'does not exist on this host: say where the disk is here that both hosts share',
];

/** `coming`: it is the disk of a VM that comes from another host. */
export function cannotOpen(config: DiskConfig, error: unknown, coming: boolean): PostcopyError {
  const errno = String((error as NodeJS.ErrnoException).code);
  const missing = coming && errno === 'ENOENT';
  const known = missing ? MISSING_AT_DESTINATION : OPEN_PROBLEMS[errno];
  const [code, why, facts]: Problem = known ?? ['HOST_LACKS', 'cannot be opened'];
  return diskError(code, config, why, error, missing ? [{ kind: 'disk-differs', id: config.id }] : facts);
}

export function cannotLock(config: DiskConfig, error: unknown): PostcopyError {
  const why = 'cannot be locked, which keeps other hosts from writing to it: see whether its file system has locks';
  return diskError('HOST_LACKS', config, why, error);
}

/** Names who has the disk, if that is a VM of this host. */
export async function diskInUse(config: DiskConfig, whoUses: WhoUses): Promise<PostcopyError> {
  const vm = await whoUses(config.path);
  if (vm === undefined) {
    const why = 'is in use by another process, here or on another host: only one at a time may write to a disk';
    return diskError('DISK_IN_USE', config, why);
  }
  const why = `is in use by the VM ${vm} of this host: stop that first`;
  return diskError('DISK_IN_USE', config, why, undefined, [{ kind: 'disk-used', vm }]);
}

export function diskError(
  code: ErrorCode,
  { id, path }: DiskConfig,
  why: string,
  cause?: unknown,
  facts?: Fact[],
): PostcopyError {
  return new PostcopyError(code, `disk ${id}: ${path} ${why}`, cause, facts);
}
