/** What stands against a disk of this host in the place of the one that a VM has which comes. */
import { Deadline } from '../basics/deadline.js';
import { describeError, factsOf, type Problem } from '../errors.js';
import { DISK_TEST_LOCK, type NativeDisk } from '../native.js';
import { callDisk } from './disk-lock.js';
import { requireRaw } from './disk-format.js';
import { diskIdentity, isBlockDevice } from './disk-identity.js';
import { problemOfProof } from './disk-proof.js';
import type { DiskDescription, HostDiskConfig } from './disk-types.js';

/** For storage to say whether a disk is locked. */
const LOCK_ANSWER_MS = 10_000;

/** None for the VM's own disk. A larger file was grown while the guest ran: what the guest knows is what counts. */
export async function objectionTo(
  config: HostDiskConfig,
  disk: NativeDisk,
  wanted: DiskDescription,
  sameHost: boolean,
  signal: AbortSignal,
): Promise<Problem[]> {
  const { id, path, coming } = config;
  if (disk.bytes < wanted.bytes) {
    const has = `disk ${id} has ${wanted.bytes} bytes for its guest, ${path} has ${disk.bytes} here`;
    return [{ text: `${has}: give the one that both hosts share`, facts: [{ kind: 'disk-differs', id }] }];
  }
  if (coming?.unproven === true) return formatProblem(config);
  const problem = problemOfProof({
    id,
    path,
    locked: await isLocked(disk, signal),
    theirs: wanted.identity,
    ours: diskIdentity(path),
    blockDevice: isBlockDevice(path),
    sameHost,
  });
  return problem === undefined ? [] : [problem];
}

/** A disk that is proven is as raw as it was at the source, whatever the guest has written to its beginning. */
function formatProblem(config: HostDiskConfig): Problem[] {
  try {
    requireRaw(config);
    return [];
  } catch (error) {
    return [{ text: describeError(error), facts: factsOf(error) }];
  }
}

/** Undefined where there are no locks, or no answer. */
async function isLocked(disk: NativeDisk, signal: AbortSignal): Promise<boolean | undefined> {
  try {
    await callDisk(disk, DISK_TEST_LOCK, Deadline.in(LOCK_ANSWER_MS), signal);
    return false;
  } catch (error) {
    signal.throwIfAborted();
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? true : undefined;
  }
}
