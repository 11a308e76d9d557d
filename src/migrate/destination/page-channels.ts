/** The destination's urgent and bulk channels with their workers, and the userfaultfd they serve. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { DestinationPages } from '../../memory/page-states.js';
import { native, type NativeMemory, type Socket, type Userfaultfd } from '../../native.js';
import { allOpen } from '../link/all-open.js';
import { Counters, type CounterName } from '../report/counters.js';
import { GoSignal } from '../../threads/go-signal.js';
import { startPageWorker as start, type PageWorker } from '../../threads/page-worker.js';
import { WorkerCode } from '../../threads/worker-code.js';
import { HANDED_OVER_LINK_TIMEOUT_MS } from '../wire/protocol.js';
import { WaitHistogram } from '../report/wait-histogram.js';
import { planWorkers, type PlannedChannel } from '../link/worker-plan.js';
import { WholeBlocks } from './huge-pages.js';
import { copyAll } from './pages/copy-all.js';
import type { DestinationJob } from './job.js';
import { PendingFaults } from './pages/pending-faults.js';

interface PageChannel extends PlannedChannel {
  counters: Counters;
  waits: WaitHistogram;
  socket?: Socket;
}

/** A worker runs when all of its channels are there. */
interface ChannelWorker {
  worker: PageWorker<DestinationJob>;
  channels: PageChannel[];
}

/** What takes a page worker over; it is ended if that cannot be made. */
async function orEnd<T>(worker: PageWorker<DestinationJob>, make: () => T): Promise<T> {
  try {
    return make();
  } catch (error) {
    await worker.end();
    throw error;
  }
}

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
  failed(reason: PostcopyError): void;
}

export class DestinationPageChannels {
  /** Those that a huge page may have held at the source. */
  readonly wholeBlocks: WholeBlocks;
  readonly #userfaultfd: Userfaultfd;
  readonly #pages: DestinationPages;
  readonly #pending = new PendingFaults();
  readonly #signal = new GoSignal();
  readonly #events: PageChannelEvents;
  readonly #workers: ChannelWorker[] = [];
  /** Pages that came with STATE. */
  #installed = 0;
  #closing: Promise<void> | undefined;
  #released = false;

  private constructor(
    readonly memory: NativeMemory,
    readonly pages: number,
    events: PageChannelEvents,
  ) {
    this.#events = events;
    this.#pages = new DestinationPages(pages);
    this.wholeBlocks = new WholeBlocks(pages);
    this.#userfaultfd = new native.Userfaultfd(memory);
  }

  /** Registers all of RAM; `first` and as many workers more as are needed wait for their channels. */
  static async create(
    memory: NativeMemory,
    pages: number,
    bulk: number,
    first: PageWorker<DestinationJob>,
    events: PageChannelEvents,
  ) {
    const channels = await orEnd(first, () => new DestinationPageChannels(memory, pages, events));
    const [firstPlan, ...plan] = planWorkers(bulk, availableParallelism());
    channels.#add(first, firstPlan!);
    try {
      channels.#userfaultfd.register(0, pages, false);
      for (const planned of plan) channels.#add(await startPageWorker(), planned);
      return channels;
    } catch (error) {
      await channels.letGo();
      throw error;
    }
  }

  #add(worker: PageWorker<DestinationJob>, plan: PlannedChannel[]): void {
    worker.onFailed((reason) => this.#events.failed(reason));
    worker.on('all-installed', () => this.#events.allInstalled());
    worker.on('memory-short', () => this.#events.memoryShort());
    const channels = plan.map((channel) => ({ ...channel, counters: new Counters(), waits: new WaitHistogram() }));
    this.#workers.push({ worker, channels });
  }

  /** All channels are there. */
  get attached(): boolean {
    return this.#all().every((channel) => channel.socket !== undefined);
  }

  /** Gives a connection to its worker. False if that channel has one already or does not exist. */
  attach(kind: PlannedChannel['kind'], index: number, socket: Socket): boolean {
    const isIt = (channel: PageChannel) => channel.kind === kind && (kind === 'urgent' || channel.index === index);
    const owner = this.#workers.find(({ channels }) => channels.some(isIt));
    const channel = owner?.channels.find(isIt);
    if (owner === undefined || channel === undefined || channel.socket !== undefined) return false;
    socket.configure({ noDelay: 1, userTimeoutMs: HANDED_OVER_LINK_TIMEOUT_MS });
    channel.socket = socket;
    if (owner.channels.every((other) => other.socket !== undefined)) this.#run(owner);
    return true;
  }

  #run({ worker, channels }: ChannelWorker): void {
    worker.run({
      channels: channels.map(({ kind, socket, counters, waits }) => ({
        kind,
        socketHandle: socket!.handle,
        counters: counters.buffer,
        waits: waits.buffer,
      })),
      memoryHandle: this.memory.handle,
      userfaultfdHandle: this.#userfaultfd.handle,
      pages: this.pages,
      maps: this.#pages.maps,
      pending: this.#pending.buffer,
      signal: this.#signal.buffer,
    });
  }

  /**
   * What the source has: [first page, pages] pairs; in several parts, none of them twice. Once all of it is told, faults
   * are answered right and RAM may be touched.
   */
  expect(extents: Uint32Array): void {
    this.wholeBlocks.add(extents);
    for (let i = 0; i < extents.length; i += 2) {
      this.#pages.expect(extents[i]!, extents[i + 1]!);
    }
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
    this.#installed = pages.length;
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
    return !this.broken && this.#signal.handOver();
  }

  /** As far as the workers or the kernel know. */
  get broken(): boolean {
    return this.#signal.broken || !allOpen(this.#all().flatMap(({ socket }) => socket ?? []));
  }

  sum(name: CounterName): number {
    const ours = name === 'installed' ? this.#installed : 0;
    return this.#all().reduce((total, channel) => total + channel.counters.get(name), ours);
  }

  get faultsWaiting(): number {
    return this.#pending.waiting;
  }

  waits(): WaitHistogram {
    const all = new WaitHistogram();
    for (const channel of this.#all()) all.add(channel.waits);
    return all;
  }

  /** Every page is in place: RAM is ordinary memory again. */
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
    this.#signal.stop();
    const channels = this.#all();
    for (const { socket } of channels) socket?.shutdown();
    await Promise.all(this.#workers.map(({ worker }) => worker.end()));
    for (const { socket } of channels) socket?.close();
  }

  #all(): PageChannel[] {
    return this.#workers.flatMap(({ channels }) => channels);
  }
}
