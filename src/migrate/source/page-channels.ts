/**
 * What the source has of a VM's pages while they leave: what is known of each page, what goes back to this host, and the
 * page channels, one set after the other if connections break.
 */
import type { PostcopyError } from '../../errors.js';
import type { PageBitmap } from '../../memory/page-bitmap.js';
import { SourcePages } from '../../memory/page-states.js';
import type { NativeMemory } from '../../native.js';
import type { PrefetchName } from '../options.js';
import type { RateLimit } from '../flow/rate-limit.js';
import { FaultTrail } from '../prefetch/fault-trail.js';
import { RecentPages } from '../prefetch/recent-pages.js';
import type { WriteHistory } from '../prefetch/write-history.js';
import type { CounterName } from '../report/counters.js';
import { startPageWorker as start, type PageWorker } from '../../threads/page-worker.js';
import { WorkerCode } from '../../threads/worker-code.js';
import type { MigrationAddress } from '../link/open-channel.js';
import { SpareWorkers } from '../link/spare-workers.js';
import type { PlannedChannel } from '../link/worker-plan.js';
import { ChannelSet, type PageChannel, type Trials } from './channel-set.js';
import type { SourceJob } from './job.js';
import { BlockRelease } from './release.js';

/** Of which RAM is given back in one go, about. */
const HELD_PIECE_PAGES = 16 * 1024;

const CODE = new WorkerCode(new URL('../workers/source-worker.js', import.meta.url));

/** A page worker that is ready for a job. */
export function startPageWorker(): Promise<PageWorker<SourceJob>> {
  return start(CODE);
}

export class SourcePageChannels {
  readonly #pages: SourcePages;
  readonly #blocks: BlockRelease;
  readonly #trail = new FaultTrail();
  readonly #recent: RecentPages;
  #set: ChannelSet;
  /** For the next set. */
  readonly #spares: SpareWorkers<SourceJob>;
  /** Channels of all sets, for their counts. */
  readonly #all: PageChannel[] = [];
  /** Pages that went with STATE, and how many have been released on their account. */
  #first: readonly number[] = [];
  #firstReleased = 0;
  /** Pages released because a destination that was met again has them. */
  #releasedApart = 0;
  /** Pages that the destination has had since before the hand-over, [first page, pages] pairs, and how far they are released. */
  #held: Uint32Array = new Uint32Array(0);
  #heldAt = 0;
  #heldReleased = 0;
  /** Of the destination: see SourceChannel. */
  #tellsLost = false;

  /** `first`: a worker started before. */
  constructor(
    readonly memory: NativeMemory,
    readonly pages: number,
    readonly bulkChannels: number,
    first: Promise<PageWorker<SourceJob>>,
    readonly failed: (reason: PostcopyError, generation: number) => void,
    readonly pushPlan: PrefetchName,
    /** Of the channels of all sets. */
    readonly limit: RateLimit,
    /** Pages are copied before the hand-over. */
    readonly copies: boolean,
  ) {
    this.#pages = new SourcePages(pages);
    this.#blocks = new BlockRelease(memory, this.#pages);
    this.#recent = new RecentPages(pages);
    this.#spares = new SpareWorkers(bulkChannels, startPageWorker);
    this.#set = this.#newSet(0, [first]);
  }

  /** `ready`: workers that were started before; as many more as are needed are started. */
  #newSet(generation: number, ready: Promise<PageWorker<SourceJob>>[]): ChannelSet {
    const start = () => ready.pop() ?? startPageWorker();
    const job = {
      memoryHandle: this.memory.handle,
      pages: this.pages,
      maps: this.#pages.maps,
      plan: this.pushPlan,
      trail: this.#trail.buffer,
      recent: this.#recent.buffer,
      limit: this.limit.buffer,
      blocks: this.#blocks.buffer,
      copies: this.copies && generation === 0,
    };
    const set = new ChannelSet(job, this.bulkChannels, start, (reason) => this.failed(reason, generation));
    this.#all.push(...set.channels);
    return set;
  }

  /** As ChannelSet.open(). */
  async open(address: MigrationAddress, tries: boolean, tellsLost: boolean): Promise<Trials> {
    this.#tellsLost = tellsLost;
    return this.#set.open(address, tries, tellsLost);
  }

  /** As far as the kernel knows. */
  get allOpen(): boolean {
    return this.#set.allOpen;
  }

  /** What the page server may send, and the push will: [first page, pages] pairs. Before STATE is sent. */
  offer(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) this.#blocks.offer(extents[i] as number, extents[i + 1] as number);
  }

  /** Copies of these pages, [first page, pages] pairs, are to be sent with the next copy(). Before the hand-over. */
  addCopies(extents: Uint32Array): void {
    this.#pages.copy(extents);
  }

  /** Pages that are to be copied yet; a copy. */
  uncopied(): PageBitmap {
    return this.#pages.uncopied();
  }

  /** Sends copies of all pages that were added: resolves when they have arrived. */
  async copy(): Promise<void> {
    await this.#set.copy();
  }

  /** No page is copied any more: resolves when nothing is on its way. Those that are left are in takeUncopied(). */
  async stopCopying(): Promise<void> {
    await this.#set.stopCopying();
  }

  /** When copying has stopped: pages that were to be copied and have not been; they are to be so no more. */
  takeUncopied(): PageBitmap {
    return this.#pages.takeUncopied();
  }

  /** What the destination has as it is, [first page, pages] pairs; it is given back when the guest runs there. Before STATE is sent. */
  hold(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) this.#blocks.hold(extents[i] as number, extents[i + 1] as number);
    this.#held = piecesOf(extents, HELD_PIECE_PAGES);
  }

  /** Tells of the pages that were asked for since the last time; returns how many more there were. */
  follow(reader: Parameters<FaultTrail['follow']>[0]): number {
    return this.#trail.follow(reader);
  }

  /** Where the guest has written lately goes first in the push; `among`: of these pages only. Once, and before the push begins. */
  pushFirst(written: WriteHistory, among?: PageBitmap): void {
    written.tell(this.#recent, among);
  }

  /** Takes pages to be sent along with STATE; those of them that there are. Nobody else sends them. */
  takeFirst(pages: readonly number[]): number[] {
    const taken = pages.filter((page) => this.#pages.claim(page));
    this.#first = taken;
    return taken;
  }

  /** The guest runs at the destination: the push begins, and pages it has are released here. */
  startPush(): void {
    for (const page of this.#first) this.#firstReleased += this.#blocks.acknowledged(page, 1);
    this.#set.startPush();
    this.#releaseHeld();
  }

  /** Piece by piece: much RAM takes seconds, in which this thread is to hear what the destination says. */
  #releaseHeld(): void {
    for (let left = HELD_PIECE_PAGES; left > 0 && this.#heldAt < this.#held.length; this.#heldAt += 2) {
      const [first, pages] = [this.#held[this.#heldAt] as number, this.#held[this.#heldAt + 1] as number];
      this.#heldReleased += this.#blocks.acknowledged(first, pages);
      left -= pages;
    }
    if (this.#heldAt < this.#held.length) setImmediate(() => this.#releaseHeld());
  }

  /** The connections are broken: ends the workers. Everything that was not acknowledged stays. */
  async part(): Promise<void> {
    this.#spares.prepare();
    this.#heldAt = this.#held.length; // what is left of them is found again by rejoin()
    await this.#set.end();
  }

  /**
   * After part(), with a destination that runs the guest and lacks these pages, [first page, pages] pairs: connects all
   * channels anew. Throws BAD_PEER if it lacks what it has acknowledged, or why a channel cannot be had.
   */
  async rejoin(address: MigrationAddress, lacking: Uint32Array): Promise<void> {
    const arrived = this.#pages.sendAgain(lacking);
    for (let i = 0; i < arrived.length; i += 2) {
      this.#releasedApart += this.#blocks.acknowledged(arrived[i] as number, arrived[i + 1] as number);
    }
    const workers = await this.#spares.take();
    const ready = workers.map((worker) => Promise.resolve(worker));
    this.#set = this.#newSet(address.generation, ready);
    await this.#set.open(address, false, this.#tellsLost);
  }

  /** After rejoin(): what is lacking is pushed again. */
  pushOn(): void {
    this.#set.startPush();
  }

  /** The destination has said of every page that it is there, as far as the workers have heard. */
  get allAcknowledged(): boolean {
    return this.#pages.allAcknowledged;
  }

  sum(name: CounterName, kind?: PlannedChannel['kind']): number {
    return this.#all.reduce(
      (total, channel) => (kind === undefined || channel.kind === kind ? total + channel.counters.get(name) : total),
      kind === 'urgent' ? 0 : this.#ofNoChannel(name),
    );
  }

  /** Nobody asked for them. Their bytes are those of the control channel. */
  #ofNoChannel(name: CounterName): number {
    if (name === 'pages') return this.#first.length;
    return name === 'released' ? this.#firstReleased + this.#releasedApart + this.#heldReleased : 0;
  }

  /** Ends the workers and closes the channels; their counts stay. */
  async close(): Promise<void> {
    this.#heldAt = this.#held.length;
    await Promise.all([this.#set.end(), this.#spares.end()]);
  }
}

/** The same pages, in extents of `most` pages at most. */
function piecesOf(extents: Uint32Array, most: number): Uint32Array {
  const pieces: number[] = [];
  for (let i = 0; i < extents.length; i += 2) {
    const [first, pages] = [extents[i] as number, extents[i + 1] as number];
    for (let at = 0; at < pages; at += most) pieces.push(first + at, Math.min(most, pages - at));
  }
  return Uint32Array.from(pieces);
}
