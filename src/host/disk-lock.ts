/**
 * A disk's calls that its storage may keep waiting (a dead server, a lease that runs out): on threads of the disk's, so
 * that the main thread, which must answer another host and the operator, can stop waiting for them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Deadline } from '../basics/deadline.js';
import { DISK_LOCK, DISK_UNLOCK, type NativeDisk } from '../native.js';

/** The first wait is in the thread that asks: storage that answers does so in microseconds, and a guest may stand still. */
const AT_ONCE_MS = 2;
const POLL_MS = 2;

/** The storage did not answer in time; what it was asked for is done if it ever does. */
export class NoStorageError extends Error {}

/** Throws what the call failed with, NoStorageError, or what `signal` was aborted with. */
export async function callDisk(disk: NativeDisk, call: number, until: Deadline, signal?: AbortSignal): Promise<void> {
  await callEnds(disk, call, disk.begin(call), until, signal);
}

async function callEnds(
  disk: NativeDisk,
  call: number,
  number: number,
  until: Deadline,
  signal?: AbortSignal,
): Promise<void> {
  if (disk.ended(call, number, AT_ONCE_MS)) return;
  do {
    signal?.throwIfAborted();
    if (until.leftMs === 0) throw new NoStorageError('the storage does not answer');
    await delay(POLL_MS);
  } while (!disk.ended(call, number, 0));
}

/**
 * The lock of one disk: whose it is, as far as is known. A call that is not answered stays asked for; the next one waits
 * behind it, and it alone says how it stands then.
 */
export class DiskLock {
  #held = false;
  #asked: { call: number; number: number } | undefined;

  constructor(readonly disk: NativeDisk) {}

  /** False if somebody else has it. What is held already asks nobody. Throws as callDisk(). */
  async take(until: Deadline): Promise<boolean> {
    if (this.#held && this.#asked === undefined) return true;
    try {
      await this.#call(DISK_LOCK, until);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw error;
    }
  }

  /** Throws as callDisk(). */
  async giveUp(until: Deadline): Promise<void> {
    await this.#call(DISK_UNLOCK, until);
  }

  async #call(call: number, until: Deadline): Promise<void> {
    if (this.#asked?.call !== call) this.#asked = { call, number: this.disk.begin(call) };
    const { number } = this.#asked;
    try {
      await callEnds(this.disk, call, number, until);
      this.#settle(number, call === DISK_LOCK);
    } catch (error) {
      if (!(error instanceof NoStorageError)) this.#settle(number, false);
      throw error;
    }
  }

  /** Unless it was asked for something else meanwhile. */
  #settle(number: number, held: boolean): void {
    if (this.#asked?.number !== number) return;
    this.#asked = undefined;
    this.#held = held;
  }
}
