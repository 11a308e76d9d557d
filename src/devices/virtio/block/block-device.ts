import { z } from 'zod';
import type { Deadline } from '../../../basics/deadline.js';
import { PostcopyError } from '../../../errors.js';
import { DISK_SYNC, POLLIN, type NativeDisk, type NativeMemory } from '../../../native.js';
import type { PollSource } from '../../poll-source.js';
import { writeSegments } from '../segment.js';
import type { DescriptorChain, DeviceQueue, Driver, VirtioDevice } from '../virtio-device.js';
import {
  blockConfig,
  blockFeatures,
  QUEUE_SIZE,
  SECTOR_BYTES,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_ID_BLOCK,
} from './config-space.js';
import type { HostErrors } from './host-errors.js';
import { InFlight } from './in-flight.js';
import { planOperation } from './operation.js';
import {
  parseRequest,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  type BlockRequest,
} from './request.js';

/** VIRTIO_BLK_ID_BYTES: an id that is shorter ends with NULs. */
const ID_BYTES = 20;
/** The device worker can be ended only between calls. */
const RESET_WAIT_MS = 500;

const identity = { id: z.string().max(ID_BYTES), sectors: z.number().int().min(0) };
const blockStateSchema = z.union([
  z.strictObject({ version: z.literal(1), ...identity }),
  /** With requests that the host has failed, and that are to be begun anew: heads of their chains. */
  z.strictObject({
    version: z.literal(2),
    ...identity,
    setAside: z
      .array(
        z
          .number()
          .int()
          .min(0)
          .max(QUEUE_SIZE - 1),
      )
      .min(1)
      .max(QUEUE_SIZE)
      .refine((heads) => new Set(heads).size === heads.length),
  }),
]);

export interface BlockDeviceOptions {
  memory: NativeMemory;
  disk: NativeDisk;
  id: string;
  readonly: boolean;
  /** As the guest knows it: the disk may have grown since. */
  bytes: number;
  errors: HostErrors;
}

/**
 * virtio-blk, section 5.2. Any number of requests are in flight at once and end in any order: the disk's own threads do
 * them. What the host fails is told as the disk's settings say: either the guest is given the error, or it is stopped, and what
 * was failed is set aside until retry(), on whatever host the guest is then.
 */
export class BlockDevice implements VirtioDevice {
  readonly deviceId = VIRTIO_ID_BLOCK;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly sources: readonly PollSource[];
  readonly #options: BlockDeviceOptions;
  readonly #sectors: number;
  readonly #inFlight: InFlight;
  #queue: DeviceQueue | undefined;
  #writeThrough = false;
  /** The guest is to stop: nothing is begun until retry(). */
  #stopped = false;
  /** Heads of the chains that are begun anew then. */
  #setAside: number[] = [];

  constructor(options: BlockDeviceOptions) {
    this.#options = options;
    this.#sectors = Math.floor(options.bytes / SECTOR_BYTES);
    this.#inFlight = new InFlight(options.disk, options.memory);
    this.features = blockFeatures(options.readonly);
    this.sources = [{ fd: options.disk.fd, events: POLLIN, run: () => this.#finishAndGoOn() }];
  }

  config(): Uint8Array {
    return blockConfig(this.#sectors, this.#options.readonly);
  }

  start(driver: Driver): void {
    this.#queue = driver.queues[0];
    this.#writeThrough = (driver.features & VIRTIO_BLK_F_FLUSH) === 0n;
  }

  process(): void {
    if (this.#takeRequests()) this.#queue?.signal();
  }

  retry(): void {
    this.#stopped = false;
    let any = false;
    for (const head of this.#setAside.splice(0)) {
      const chain = this.#queue?.takeUp(head);
      if (chain !== undefined && this.#take(chain)) any = true;
    }
    if (this.#takeRequests() || any) this.#queue?.signal();
  }

  reset(): void {
    while (!this.#options.disk.waitIdle(RESET_WAIT_MS));
    this.#queue = undefined;
    this.#finish();
    this.#stopped = false;
    this.#setAside = [];
  }

  /** Requests that do not end in time stay in flight, and are returned when they do. */
  pause(deadline: Deadline): void {
    const { disk, readonly } = this.#options;
    if (!disk.waitIdle(deadline.leftMs)) throw this.#tooLate('its requests did not end');
    if (this.#finish()) this.#queue?.signal();
    if (!readonly) this.#sync(deadline);
  }

  save(): unknown {
    const disk = { id: this.#options.id, sectors: this.#sectors };
    return this.#setAside.length === 0
      ? { version: 1, ...disk }
      : { version: 2, ...disk, setAside: [...this.#setAside] };
  }

  restore(state: unknown): void {
    const saved = blockStateSchema.parse(state);
    if (saved.id !== this.#options.id || saved.sectors !== this.#sectors) {
      const there = `disk ${this.#options.id} has ${this.#sectors} sectors here`;
      throw new Error(`${there}, the state is that of disk ${saved.id} with ${saved.sectors}`);
    }
    this.#setAside = saved.version === 1 ? [] : saved.setAside;
    this.#stopped = this.#setAside.length > 0;
  }

  #sync(deadline: Deadline): void {
    const { disk, id } = this.#options;
    let ended: boolean;
    try {
      ended = disk.ended(DISK_SYNC, disk.begin(DISK_SYNC), deadline.leftMs);
    } catch (error) {
      throw new PostcopyError('MIGRATION_FAILED', `disk ${id}: what the guest wrote cannot be written back`, error);
    }
    if (!ended) throw this.#tooLate('what the guest wrote was not written back');
  }

  #tooLate(what: string): PostcopyError {
    const text = `disk ${this.#options.id}: ${what} in the time that the guest may stand still`;
    return new PostcopyError('MIGRATION_FAILED', `${text}: see whether its storage answers`);
  }

  #finishAndGoOn(): void {
    const ended = this.#finish();
    const more = this.#takeRequests(); // those that found too many in flight
    if (ended || more) this.#queue?.signal();
  }

  /** Returns to the driver what has ended; whether there was any. */
  #finish(): boolean {
    let any = false;
    this.#inFlight.takeEnded((request, errno) => {
      const status = errno === 0 ? VIRTIO_BLK_S_OK : this.#failed(request, errno);
      if (status === undefined) return;
      any = true;
      this.#return(request, status);
    });
    return any;
  }

  /** Begins what the driver has made available; whether something of it has ended at once. */
  #takeRequests(): boolean {
    let any = false;
    while (!this.#stopped && !this.#inFlight.full) {
      const chain = this.#queue?.pop();
      if (chain === undefined) break;
      if (this.#take(chain)) any = true;
    }
    return any;
  }

  /** Whether it has ended at once. */
  #take(chain: DescriptorChain): boolean {
    const request = parseRequest(this.#options.memory, chain);
    const status = this.#begin(request);
    if (status !== undefined) this.#return(request, status);
    return status !== undefined;
  }

  /** The status of a request that has ended at once; undefined for one that the disk works on. */
  #begin(request: BlockRequest): number | undefined {
    if (request.type === VIRTIO_BLK_T_GET_ID) return this.#getId(request);
    const operation = planOperation(this.#options.memory, request, {
      sectors: this.#sectors,
      readonly: this.#options.readonly,
      writeThrough: this.#writeThrough,
    });
    if (typeof operation === 'number') return operation;
    const errno = this.#inFlight.submit(request, operation);
    return errno === 0 ? undefined : this.#failed(request, errno);
  }

  /**
   * The status of a request that the host has failed; undefined for one that is set aside. A flush never is: the kernel has
   * dropped what it could not write, and another flush would end well without it.
   */
  #failed({ type, head }: BlockRequest, errno: number): number | undefined {
    if (this.#queue === undefined) return VIRTIO_BLK_S_IOERR; // of a driver that is gone
    const { errors } = this.#options;
    errors.note(errno);
    if (!errors.stopsFor(errno)) {
      errors.report(errno);
      return VIRTIO_BLK_S_IOERR;
    }
    const kept = type !== VIRTIO_BLK_T_FLUSH;
    if (!this.#stopped) errors.stop(errno, kept);
    this.#stopped = true;
    if (!kept) return VIRTIO_BLK_S_IOERR;
    this.#queue.setAside(head);
    this.#setAside.push(head);
    return undefined;
  }

  #getId(request: BlockRequest): number {
    const bytes = new Uint8Array(ID_BYTES);
    new TextEncoder().encodeInto(this.#options.id, bytes);
    writeSegments(this.#options.memory, request.dataIn, bytes);
    return VIRTIO_BLK_S_OK;
  }

  #return(request: BlockRequest, status: number): void {
    if (this.#queue === undefined) return; // reset meanwhile: the memory is no longer the request's
    this.#options.memory.write(request.statusOffset, Uint8Array.of(status));
    this.#queue.push(request.head, bytesWritten(request, status));
  }
}

/** From the first writable byte on, without a gap. After an error nobody knows, and less may be said (2.7.8.2). */
function bytesWritten({ type, dataInBytes }: BlockRequest, status: number): number {
  let data = 0;
  if (status === VIRTIO_BLK_S_OK && type === VIRTIO_BLK_T_IN) data = dataInBytes;
  if (status === VIRTIO_BLK_S_OK && type === VIRTIO_BLK_T_GET_ID) data = Math.min(dataInBytes, ID_BYTES);
  return data === dataInBytes ? data + 1 : data;
}
