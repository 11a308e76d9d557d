import { setTimeout as delay } from 'node:timers/promises';
import type { DiskConfig, DiskErrorAction } from '../configure/disk.js';
import { Deadline } from '../basics/deadline.js';
import type { PostcopyError, Problem } from '../errors.js';
import { DISK_DROP_CACHE, DISK_SYNC, native, type NativeDisk } from '../native.js';
import { SECTOR_BYTES } from '../devices/virtio/block/config-space.js';
import { HostErrorCount, type HostErrorTotals } from '../devices/virtio/block/host-errors.js';
import { requireRaw } from './disk-format.js';
import { diskIdentity } from './disk-identity.js';
import { layersBeneath, sharesBytes } from './disk-layers.js';
import { chooseSample, hasSample, takeSample, type DiskSample } from './disk-sample.js';
import { objectionTo } from './disk-objections.js';
import { cannotLock, cannotOpen, diskError, diskInUse, type WhoUses } from './disk-errors.js';
import { callDisk, DiskLock, NoStorageError } from './disk-lock.js';
import type { DiskDescription, HostDiskConfig } from './disk-types.js';

/** The other side lets go within milliseconds, if it does. */
const RELOCK_INTERVAL_MS = 5;
/** A sync that is as short as this leaves little for the one while the guest stands still. */
const SHORT_SYNC_MS = 100;
const PRESYNCS_MAX = 5;
/** The guest runs meanwhile; much that it has written, to a slow disk, takes its time. */
const PRESYNC_LIMIT_MS = 10 * 60_000;
const CLOSE_WAIT_MS = 2000;
/** The guest runs meanwhile. */
const CHOOSE_SAMPLES_MS = 2000;
/** The guest stands still meanwhile; what is read has been read before. */
const TAKE_SAMPLES_MS = 500;
/** A server that has started anew lets nobody lock for as long as its old clients may come back: 90 s, as a rule (NFS). */
const LOCK_ANSWER_MS = 100_000;
/** One that does not answer to this does not keep who has to tell of another failure. */
const UNLOCK_ANSWER_MS = 1000;

export interface DiskStatus {
  id: string;
  /** On this host. */
  path: string;
  readonly: boolean;
  /** If somebody has said. */
  onError?: DiskErrorAction | undefined;
  /** Of this host, since the disk was opened. */
  errors?: HostErrorTotals | undefined;
}

interface OpenDisk {
  config: HostDiskConfig;
  disk: NativeDisk;
  lock: DiskLock;
  /** As the guest knows it. */
  bytes: number;
  errors: HostErrorCount;
}

/** The disks of one VM on this host, on the main thread. Requests are the device worker's, by the handles. */
export class HostDisks {
  private constructor(
    /** In the order of the configuration, as all here. */
    readonly open: readonly OpenDisk[],
    readonly whoUses: WhoUses,
  ) {}

  /** Opens all of them and locks none. Throws PostcopyError (BAD_CONFIG, HOST_LACKS) with nothing left open. */
  static open(configs: readonly HostDiskConfig[], whoUses: WhoUses = async () => undefined): HostDisks {
    requireDistinct(configs);
    const disks: OpenDisk[] = [];
    try {
      for (const config of configs) disks.push(openDisk(config));
      for (const { config, disk } of disks) requireUsable(config, disk.bytes);
    } catch (error) {
      closeAll(disks);
      throw error;
    }
    return new HostDisks(disks, whoUses);
  }

  describe(): DiskDescription[] {
    return this.open.map(({ config: { coming: _, ...config }, bytes }) => {
      const identity = diskIdentity(config.path);
      return { ...config, bytes, ...(identity === undefined ? {} : { identity }) };
    });
  }

  /** As `postcopy status` shows them. */
  status(): DiskStatus[] {
    return this.open.map(({ config: { id, path, readonly, onError }, errors }) => {
      const found = errors.read();
      return {
        ...{ id, path, readonly },
        ...(onError === undefined ? {} : { onError }),
        ...(found === undefined ? {} : { errors: found }),
      };
    });
  }

  /**
   * Why these are not those that a VM has which comes, in the same order; the source still has its locks. Rejects with what
   * `signal` was aborted with.
   */
  async objections(wanted: readonly DiskDescription[], sameHost: boolean, signal: AbortSignal): Promise<Problem[]> {
    const found = this.open.map(({ config, disk }, i) => objectionTo(config, disk, wanted[i]!, sameHost, signal));
    return (await Promise.all(found)).flat();
  }

  /**
   * All or none. Rejects with DISK_IN_USE, which says by whom if that is a VM of this host; HOST_LACKS without locks, or if
   * the storage does not answer.
   */
  lock(): Promise<void> {
    return this.relock(0);
  }

  /** Rejects with MIGRATION_FAILED if the storage has not answered by then: what is not unlocked is as soon as it does. */
  async unlock(until = Deadline.in(UNLOCK_ANSWER_MS)): Promise<void> {
    await Promise.all(
      this.open.map(async ({ config, lock }) => {
        try {
          await lock.giveUp(until);
        } catch (error) {
          throw diskError('MIGRATION_FAILED', config, `cannot be unlocked${seeStorage(error)}`, error);
        }
      }),
    );
  }

  /**
   * As lock(), trying again for so long: until the other side has let go. What is locked already is no obstacle. Storage
   * that does not answer is waited for until both times have passed.
   */
  async relock(timeoutMs: number, answerMs = LOCK_ANSWER_MS): Promise<void> {
    const deadline = Deadline.in(timeoutMs);
    const answer = Deadline.in(Math.max(timeoutMs, answerMs));
    for (;;) {
      const taken = await this.#lockAll(answer);
      if (taken === undefined) return;
      if (deadline.leftMs === 0) throw await diskInUse(taken, this.whoUses);
      await delay(RELOCK_INTERVAL_MS);
    }
  }

  /**
   * Writes back, off this thread, while the guest still runs, so that little is left to be written while it stands still.
   * Rejects with MIGRATION_FAILED if a disk cannot be written, and with what `cancelled` was aborted with.
   */
  async presync(cancelled: AbortSignal, limitMs = PRESYNC_LIMIT_MS): Promise<void> {
    const deadline = Deadline.in(limitMs);
    for (let round = 0; round < PRESYNCS_MAX; round++) {
      const began = performance.now();
      await Promise.all(this.open.map((disk) => syncInBackground(disk, deadline, cancelled)));
      if (performance.now() - began < SHORT_SYNC_MS) break;
    }
    await this.#chooseSamples();
  }

  /** Those that have requests in flight. */
  unanswered(): DiskConfig[] {
    return this.open.filter(({ disk }) => !disk.waitIdle(0)).map(({ config }) => config);
  }

  /**
   * After the locks have come: what another host has written is what is read from here on. Rejects with HOST_LACKS if that
   * cannot be had by then, and with what `signal` was aborted with.
   */
  async dropCaches(until: Deadline, signal?: AbortSignal): Promise<void> {
    await Promise.all(
      this.open.map(async ({ config, disk }) => {
        try {
          await callDisk(disk, DISK_DROP_CACHE, until, signal);
        } catch (error) {
          signal?.throwIfAborted();
          const why = `is cached on this host, and the cache cannot be dropped${seeStorage(error)}`;
          throw diskError('HOST_LACKS', config, why, error);
        }
      }),
    );
  }

  /**
   * What takeSamples() is to be of, while the guest still runs. A disk that cannot be read is the guest's to find out: it
   * has no sample then.
   */
  async #chooseSamples(): Promise<void> {
    const { length } = this.open;
    const until = Deadline.in(CHOOSE_SAMPLES_MS);
    await Promise.all(this.open.map(({ disk, bytes }) => chooseSample(disk, bytes, length, until).catch(() => {})));
  }

  /** After presync(), of disks that nobody writes to: what the other host must find on them. */
  async takeSamples(): Promise<DiskSample[]> {
    const until = Deadline.in(TAKE_SAMPLES_MS);
    const taken = this.open.map(({ config, disk }) => takeSample(config.id, disk, until).catch(() => undefined));
    return (await Promise.all(taken)).filter((sample) => sample !== undefined);
  }

  /** After dropCaches(). Rejects with MIGRATION_FAILED if one is not what it was at the source, HOST_LACKS if it cannot be read. */
  async requireSamples(samples: readonly DiskSample[], until: Deadline): Promise<void> {
    const each = samples.map(async (sample) => {
      const open = this.open.find(({ config }) => config.id === sample.id);
      if (open === undefined) return;
      if (!(await isAsSampled(open, sample, until))) {
        const why =
          'does not have here what the source has read of it: it is another disk, or the storage shows this host what it ' +
          'was before';
        throw diskError('MIGRATION_FAILED', open.config, why);
      }
    });
    await Promise.all(each);
  }

  /** After the device worker has let go of them. A disk with requests in flight stays open, and locked, until they end. */
  close(): void {
    closeAll(this.open);
  }

  /** The first that somebody else has, with none locked then; undefined if all are ours. */
  async #lockAll(until: Deadline): Promise<DiskConfig | undefined> {
    for (const { config, lock } of this.open) {
      try {
        if (await lock.take(until)) continue;
      } catch (error) {
        await this.#unlockIfPossible();
        throw error instanceof NoStorageError ? noAnswer(config, error) : cannotLock(config, error);
      }
      await this.#unlockIfPossible();
      return config;
    }
    return undefined;
  }

  /** There is something worse to tell. */
  async #unlockIfPossible(): Promise<void> {
    await this.unlock().catch(() => {});
  }
}

function openDisk(config: HostDiskConfig): OpenDisk {
  let disk: NativeDisk;
  try {
    disk = new native.Disk(config.path, config.readonly);
  } catch (error) {
    throw cannotOpen(config, error, config.coming !== undefined);
  }
  try {
    for (const { path, start, length, shared } of layersBeneath(config.path))
      disk.lockAlso(path, start, length, shared);
  } catch (error) {
    disk.close(CLOSE_WAIT_MS);
    throw diskError('HOST_LACKS', config, 'lies on something that cannot be locked with it', error);
  }
  return {
    config,
    disk,
    lock: new DiskLock(disk),
    bytes: config.coming?.bytes ?? disk.bytes,
    errors: new HostErrorCount(),
  };
}

async function isAsSampled({ config, disk, bytes }: OpenDisk, sample: DiskSample, until: Deadline): Promise<boolean> {
  try {
    return await hasSample(disk, bytes, sample, until);
  } catch (error) {
    throw diskError('HOST_LACKS', config, `cannot be read${seeStorage(error)}`, error);
  }
}

function closeAll(disks: readonly OpenDisk[]): void {
  for (const { disk } of disks) disk.close(CLOSE_WAIT_MS);
}

/** The second would not get the lock, and nobody would understand why. */
function requireDistinct(configs: readonly DiskConfig[]): void {
  for (const [i, config] of configs.entries()) {
    for (const earlier of configs.slice(0, i)) {
      if ((config.readonly && earlier.readonly) || !sharesBytes(config.path, earlier.path)) continue;
      throw diskError('BAD_CONFIG', config, `is disk ${earlier.id} too: only two read-only disks can be one file`);
    }
  }
}

/** The disk of a VM that comes is held against the one that it has (disk-proof.ts, kinds/block.ts). */
function requireUsable(config: HostDiskConfig, bytes: number): void {
  if (config.coming !== undefined) return;
  requireSectors(config, bytes);
  requireRaw(config);
}

function requireSectors(config: DiskConfig, bytes: number): void {
  if (bytes > 0 && bytes % SECTOR_BYTES === 0) return;
  const why = `has ${bytes} bytes; a disk is whole sectors of ${SECTOR_BYTES}, at least one (truncate -s %${SECTOR_BYTES})`;
  throw diskError('BAD_CONFIG', config, why);
}

/** A disk that could not be written once cannot from then on: another host would read what was there before, for good. */
async function syncInBackground({ config, disk }: OpenDisk, deadline: Deadline, cancelled: AbortSignal): Promise<void> {
  if (config.readonly) return;
  try {
    await callDisk(disk, DISK_SYNC, deadline, cancelled);
  } catch (error) {
    cancelled.throwIfAborted();
    if (error instanceof NoStorageError)
      throw diskError('MIGRATION_FAILED', config, `is not written back${seeStorage(error)}`);
    throw diskError('MIGRATION_FAILED', config, 'cannot be written', error);
  }
}

function noAnswer(config: DiskConfig, error: unknown): PostcopyError {
  return diskError('HOST_LACKS', config, `is not locked${seeStorage(error)}`, error);
}

function seeStorage(error: unknown): string {
  return error instanceof NoStorageError ? ': see whether its storage answers' : '';
}
