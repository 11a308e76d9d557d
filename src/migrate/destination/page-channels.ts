/**
 * What brings a VM's pages to the destination: the userfaultfd, what is known of each page, and the page channels, one set
 * after the other if connections break. At most one set installs pages; one that has parted answers the faults that need no
 * source, until the next has all of its channels.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { pagesIn } from '../../memory/ram-map.js';
import { DestinationPages } from '../../memory/page-states.js';
import { native, type NativeMemory, type Socket, type Userfaultfd } from '../../native.js';
import type { CounterName } from '../report/counters.js';
import { startPageWorker as start, type PageWorker } from '../../threads/page-worker.js';
import { WorkerCode } from '../../threads/worker-code.js';
import { WaitHistogram } from '../report/wait-histogram.js';
import { SpareWorkers } from '../link/spare-workers.js';
import type { PlannedChannel } from '../link/worker-plan.js';
import { ChannelSet, type PageChannel } from './channel-set.js';
import { WholeBlocks } from './huge-pages.js';
import { copyAll } from './pages/copy-all.js';
import type { DestinationJob } from './job.js';
import { PendingFaults } from './pages/pending-faults.js';
import { registerAfterRounds, Rounds } from './rounds.js';

const CODE = new WorkerCode(new URL('../workers/destination-worker.js', import.meta.url));

/** A page worker that has loaded its code and waits for a job: loading takes longer than all else a VM on its way needs. */
export function startPageWorker(): Promise<PageWorker<DestinationJob>> {
  return start(CODE);
}

/** Workers that install nothing for so long have nothing to install. */
const MORE_COMES_MS = 100;

export interface PageChannelEvents {
  allInstalled(): void;
  /** Pages wait for memory of this host, and go on to when there is some. */
  memoryShort(): void;
  /** The source has lost it to a memory error. */
  pageLost(page: number): void;
  failed(reason: PostcopyError, generation: number): void;
}

export class DestinationPageChannels {
  /** Those that a huge page may have held at the source. */
  readonly wholeBlocks: WholeBlocks;
  readonly #userfaultfd: Userfaultfd;
  readonly #pages: DestinationPages;
  readonly #pending = new PendingFaults();
  readonly #events: PageChannelEvents;
  /** The set that installs, or waits for its channels; and the one before it, while that answers faults alone. */
  #set: ChannelSet;
  #alone: ChannelSet | undefined;
  /** Channels of all sets, for their counts. */
  readonly #all: PageChannel[] = [];
  #takingOver: Promise<void> | undefined;
  /** For the next set. */
  readonly #spares: SpareWorkers<DestinationJob>;
  /** Where pages come before STATE. */
  readonly #rounds: Rounds | undefined;
  /** Pages that came with STATE, or before it. */
  #installed = 0;
  #closing: Promise<void> | undefined;
  #released = false;

  private constructor(
    readonly memory: NativeMemory,
    readonly pages: number,
    readonly bulk: number,
    events: PageChannelEvents,
    rounds: boolean,
  ) {
    this.#events = events;
    this.#rounds = rounds ? new Rounds(pages) : undefined;
    this.#spares = new SpareWorkers(bulk, startPageWorker);
    this.#pages = new DestinationPages(pages);
    this.wholeBlocks = new WholeBlocks(pages);
    this.#userfaultfd = new native.Userfaultfd(memory);
    this.#set = this.#newSet();
  }

  /**
   * `first` and as many workers more as are needed wait for their channels. All of RAM is registered; with `rounds`, when
   * those are over.
   */
  static async create(
    memory: NativeMemory,
    pages: number,
    bulk: number,
    first: PageWorker<DestinationJob>,
    events: PageChannelEvents,
    rounds: boolean,
  ) {
    let channels: DestinationPageChannels | undefined;
    const workers = [first];
    try {
      channels = new DestinationPageChannels(memory, pages, bulk, events, rounds);
      if (!rounds) channels.#userfaultfd.register(0, pages, false);
      while (workers.length < ChannelSet.workersFor(bulk)) workers.push(await startPageWorker());
      channels.#use(workers, 0);
      return channels;
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.end()));
      await channels?.letGo();
      throw error;
    }
  }

  #newSet(): ChannelSet {
    return new ChannelSet({
      memoryHandle: this.memory.handle,
      userfaultfdHandle: this.#userfaultfd.handle,
      pages: this.pages,
      maps: this.#pages.maps,
      rounds: this.#rounds?.maps,
      pending: this.#pending.buffer,
    });
  }

  #use(workers: PageWorker<DestinationJob>[], generation: number): void {
    for (const worker of workers) {
      worker.onFailed((reason) => this.#events.failed(reason, generation));
      worker.on('all-installed', () => this.#events.allInstalled());
      worker.on('page-lost', ({ page }) => this.#events.pageLost(page));
      worker.on('memory-short', () => this.#events.memoryShort());
    }
    this.#set.use(workers, this.bulk);
    this.#all.push(...this.#set.channels);
  }

  /** All channels are there. */
  get attached(): boolean {
    return this.#set.attached;
  }

  /** Gives a connection to its worker. False if that channel has one already or does not exist. */
  attach(kind: PlannedChannel['kind'], index: number, socket: Socket): boolean {
    if (!this.#set.attach(kind, index, socket)) return false;
    if (this.#alone === undefined) this.#set.run();
    else if (this.#set.attached) this.#takingOver = this.#takeOver(this.#alone, this.#set);
    return true;
  }

  /** From the set that answers faults alone: two would not see what the other has asked for. */
  async #takeOver(alone: ChannelSet, set: ChannelSet): Promise<void> {
    await alone.end();
    if (this.#closing !== undefined) return;
    this.#alone = undefined;
    this.#pages.askAgain();
    this.#pending.forget();
    set.run();
    // Whoever waits faults again, and is asked for.
    this.#userfaultfd.wake(0, this.pages);
  }

  /** The connections are broken, and the guest runs on. Resolves when nothing more is installed. */
  async part(): Promise<void> {
    this.#spares.prepare();
    await this.#takingOver;
    if (this.#alone === undefined) {
      this.#alone = this.#set;
      await this.#alone.part();
    } else if (this.#set !== this.#alone) {
      await this.#set.end(); // which never had all of its channels
    }
  }

  /**
   * After part(): waits for the channels of another generation. Returns what is missing, [first page, pages] pairs. Throws
   * if workers cannot be started; then it can be tried again.
   */
  async rejoin(generation: number): Promise<Uint32Array> {
    const workers = await this.#spares.take();
    this.#set = this.#newSet();
    this.#set.handOver();
    this.#use(workers, generation);
    return this.#pages.missing();
  }

  /**
   * What the source has: [first page, pages] pairs; in several parts, none of them twice. Once all of it is told, faults
   * are answered right and RAM may be touched. Throws BAD_PEER while pages come in rounds.
   */
  expect(extents: Uint32Array): void {
    if (this.takesRounds && extents.length > 0) {
      throw new PostcopyError('BAD_PEER', 'the source announced pages that are to come before its rounds were over');
    }
    this.wholeBlocks.add(extents);
    for (let i = 0; i < extents.length; i += 2) {
      this.#pages.expect(extents[i]!, extents[i + 1]!);
    }
  }

  /** Pages may come in rounds: the guest runs at the source, and RAM here is nobody's yet. */
  get takesRounds(): boolean {
    return this.#rounds?.gate.isClosed === false;
  }

  /**
   * STATE has come, and has told which pages are here as they are to be, and which are to come: [first page, pages] pairs. All
   * others read zero from now on, and faults come here. Without rounds nothing changes. Throws BAD_PEER.
   */
  endRounds(held: Uint32Array, lacking: Uint32Array): void {
    if (this.#rounds === undefined) {
      if (held.length === 0) return;
      throw new PostcopyError('BAD_PEER', 'STATE has pages here already, of a VM whose pages come behind it');
    }
    registerAfterRounds(this.memory, this.#userfaultfd, this.#rounds.end(held, lacking));
    this.wholeBlocks.add(held);
    this.#installed = pagesIn(held);
  }

  /** Pages that came with STATE, and what is in them one after the other; before the guest runs. Throws BAD_PEER, INTERNAL. */
  install(pages: readonly number[], content: Uint8Array): void {
    if (content.length !== pages.length * PAGE_SIZE) {
      throw new PostcopyError('BAD_PEER', `STATE has ${content.length} bytes in ${pages.length} pages`);
    }
    for (const [i, page] of pages.entries()) {
      if (page >= this.pages || !this.#pages.isMissing(page)) {
        throw new PostcopyError('BAD_PEER', `STATE has page ${page}, which was not to come or has come before`);
      }
      if (copyAll(this.#userfaultfd, page, 1, content, i * PAGE_SIZE) === 0) {
        throw new PostcopyError('HOST_LACKS', 'this host has no memory for the first pages of the VM: free some');
      }
      this.#pages.installed(page, 1);
      this.#pages.settled(1);
    }
    this.#installed += pages.length;
  }

  get pagesMissing(): number {
    return this.#pages.left;
  }

  /**
   * Whether all pages are here, once what has come already is in place: of a link that is gone, or of which a part is,
   * workers may still have much to read. Over as soon as nothing more comes.
   */
  async becomeWhole(): Promise<boolean> {
    for (let before = Infinity; this.pagesMissing > 0 && this.pagesMissing < before; await delay(MORE_COMES_MS))
      before = this.pagesMissing;
    return this.pagesMissing === 0;
  }

  /** COMMIT has come. False if the channels broke before: then faults were answered with anything, and no guest may run. */
  handOver(): boolean {
    return this.#set.handOver();
  }

  /** As far as the workers or the kernel know. */
  get broken(): boolean {
    return this.#set.broken;
  }

  sum(name: CounterName, kind?: PlannedChannel['kind']): number {
    const ours = name === 'installed' && kind === undefined ? this.#installed : 0;
    const counted = this.#all.filter((channel) => kind === undefined || channel.kind === kind);
    return counted.reduce((total, channel) => total + channel.counters.get(name), ours);
  }

  get faultsWaiting(): number {
    return this.#pending.waiting;
  }

  waits(): WaitHistogram {
    const all = new WaitHistogram();
    for (const channel of this.#all) all.add(channel.waits);
    return all;
  }

  /** Every page is in place, or nobody will read those that are not: RAM is ordinary memory again. */
  unregister(): void {
    this.#userfaultfd.unregister(0, this.pages);
  }

  /** Ends the workers and closes the channels. Faults go on waiting: vCPUs may be among them. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As close(), then RAM is ordinary memory: who waits for a page goes on, and reads zeroes if it has not come. */
  async letGo(): Promise<void> {
    await this.close();
    if (this.#released) return;
    this.#released = true;
    // Whoever still has the descriptor.
    this.unregister();
    this.#userfaultfd.close();
  }

  async #close(): Promise<void> {
    await Promise.all([this.#set.end(), this.#alone?.end(), this.#spares.end()]);
  }
}
