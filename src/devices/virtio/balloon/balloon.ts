import { z } from 'zod';
import type { RamBytes } from '../../../memory/guest-memory.js';
import { pageOf, pagesFor } from '../../../memory/page-size.js';
import type { PollSource } from '../../poll-source.js';
import { doubleWordSchema } from '../../state-schema.js';
import { readSegments, type Segment } from '../segment.js';
import type { DescriptorChain, DeviceQueue, Driver, VirtioDevice } from '../virtio-device.js';
import { BalloonConfig } from './balloon-config.js';
import type { PageReleaser } from './page-releaser.js';
import { ramRunsOf, runsOf } from './page-runs.js';

/** Traditional Memory Balloon Device (virtio 1.2, 5.5). Its pages are 4 KiB, whatever the driver's are. */
const DEVICE_ID = 5;
/** A guest short of memory takes pages out of the balloon before it kills processes. */
const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 1n << 2n;
/**
 * Free page reporting. VIRTIO_BALLOON_F_PAGE_POISON is not offered: a driver must then expect anything in pages it has
 * reported (5.5.6.7.2), so they may read as zero or keep their content. Linux does not report pages if it relies on their
 * content (init_on_free, page poisoning).
 */
const VIRTIO_BALLOON_F_PAGE_REPORTING = 1n << 5n;

const INFLATEQ = 0;
const DEFLATEQ = 1;
/**
 * reporting_vq is queue 4 in the specification (5.5.2). Linux on virtio-mmio leaves out the queues whose features were
 * not negotiated (statsq, free_page_vq) when it counts, and finds it at 2. Nothing else can be at 2 to 4, so any is it.
 */
const REPORTING_QUEUES = [2, 3, 4];
const QUEUES = 5;
/** Linux reports 32 ranges at a time, and wants a descriptor for each. */
const QUEUE_SIZE = 128;

/** Pages of one request to inflate; Linux puts in 256. Further ones are acknowledged, but not given back. */
const MOST_PAGES = 4096;
const PFN_BYTES = 4;

const stateSchema = z.strictObject({ version: z.literal(1), numPages: doubleWordSchema, actual: doubleWordSchema });
export type BalloonState = z.infer<typeof stateSchema>;

export class VirtioBalloon implements VirtioDevice {
  readonly deviceId = DEVICE_ID;
  readonly features = VIRTIO_BALLOON_F_DEFLATE_ON_OOM | VIRTIO_BALLOON_F_PAGE_REPORTING;
  readonly queueSizes = new Array<number>(QUEUES).fill(QUEUE_SIZE);
  readonly sources: readonly PollSource[] = [];
  readonly #ram: RamBytes;
  readonly #releaser: PageReleaser;
  readonly #config = new BalloonConfig();
  readonly #pfns = new Uint32Array(MOST_PAGES);
  #driver: Driver | undefined;

  constructor(ram: RamBytes, releaser: PageReleaser) {
    this.#ram = ram;
    this.#releaser = releaser;
  }

  /** Pages the driver says are in the balloon. */
  get actual(): number {
    return this.#config.actual;
  }

  /** Asks the guest to have `pages` pages in the balloon, some day, if it can. Throws RangeError beyond its RAM. */
  setTarget(pages: number): void {
    const most = pagesFor(this.#ram.bytes);
    if (!Number.isInteger(pages) || pages < 0 || pages > most) {
      throw new RangeError(`a balloon of ${pages} pages: the VM has ${most} pages`);
    }
    this.#config.numPages = pages;
    this.#driver?.configChanged();
  }

  config(): Uint8Array {
    return this.#config.read();
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#config.write(offset, bytes);
  }

  start(driver: Driver): void {
    this.#driver = driver;
  }

  process(): void {
    this.#serve(INFLATEQ, (chain) => this.#inflate(chain.readable));
    // A page leaves the balloon when the guest touches it.
    this.#serve(DEFLATEQ, () => undefined);
    for (const queue of REPORTING_QUEUES) this.#serve(queue, (chain) => this.#releaseRanges(chain.writable));
  }

  /** With its driver the balloon is gone: whoever comes next has all pages. */
  reset(): void {
    this.#driver = undefined;
    this.#config.actual = 0;
  }

  /** No request outlives process(). */
  pause(): void {}

  save(): BalloonState {
    return { version: 1, numPages: this.#config.numPages, actual: this.#config.actual };
  }

  restore(state: unknown): void {
    const { numPages, actual } = stateSchema.parse(state);
    this.#config.numPages = numPages;
    this.#config.actual = actual;
  }

  /** Every request is acknowledged without a byte written, whatever is in it. */
  #serve(index: number, act: (chain: DescriptorChain) => void): void {
    const queue: DeviceQueue | undefined = this.#driver?.queues[index];
    if (queue === undefined) return;
    let served = 0;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (this.#releaser.active) act(chain);
      queue.push(chain.head, 0);
      served++;
    }
    if (served > 0) queue.signal();
  }

  /** Page frame numbers, 32 bits each (5.5.6). Those that are no RAM, or come twice, do nothing. */
  #inflate(readable: readonly Segment[]): void {
    const bytes = readSegments(this.#ram, readable, new Uint8Array(this.#pfns.buffer));
    const runs = runsOf(this.#pfns.subarray(0, Math.floor(bytes / PFN_BYTES)));
    for (const run of ramRunsOf(runs, this.#ram.bytes)) this.#releaser.release(run.first, run.count);
  }

  /** The buffers themselves are the pages; one that is there in part holds something else as well. */
  #releaseRanges(writable: readonly Segment[]): void {
    for (const { ramOffset, length } of writable) {
      const first = pagesFor(ramOffset);
      const count = pageOf(ramOffset + length) - first;
      if (count > 0) this.#releaser.release(first, count);
    }
  }
}
