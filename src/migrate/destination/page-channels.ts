/** The destination's urgent and bulk channels with their workers, and the userfaultfd they serve. */
import type { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { native, type NativeMemory, type Socket, type Userfaultfd } from '../../native.js';
import { Counters, type CounterName } from '../counters.js';
import { LinkSwitch } from '../link-switch.js';
import { PageWorker } from '../page-worker.js';
import { LINK_TIMEOUT_MS } from '../protocol.js';
import { WaitHistogram } from '../wait-histogram.js';
import { ALL_INSTALLED, type DestinationJob } from './pages/jobs.js';
import { PendingFaults } from './pages/pending-faults.js';

interface PageChannel {
  worker: PageWorker<DestinationJob>;
  counters: Counters;
  waits: WaitHistogram;
  socket?: Socket;
}

/** Page workers that have loaded their code and wait for a job. */
export interface PageWorkers {
  urgent: PageWorker<DestinationJob>;
  bulk: PageWorker<DestinationJob>[];
}

/** Loading them takes longer than anything else that a VM on its way here needs. */
export async function startPageWorkers(): Promise<PageWorkers> {
  const [urgent, bulk] = await Promise.all([
    PageWorker.start<DestinationJob>(new URL('./pages/fault-worker.js', import.meta.url)),
    startBulkWorker(),
  ]);
  return { urgent, bulk: [bulk] };
}

function startBulkWorker(): Promise<PageWorker<DestinationJob>> {
  return PageWorker.start(new URL('./pages/bulk-receiver.js', import.meta.url));
}

export interface PageChannelEvents {
  allInstalled(): void;
  failed(reason: PostcopyError): void;
}

export class DestinationPageChannels {
  readonly #userfaultfd: Userfaultfd;
  readonly #missing: PageBitmap;
  readonly #left = new Int32Array(new SharedArrayBuffer(4));
  readonly #pending = new PendingFaults();
  readonly #link = new LinkSwitch();
  readonly #events: PageChannelEvents;
  #urgent!: PageChannel;
  #bulk: PageChannel[] = [];

  private constructor(
    readonly memory: NativeMemory,
    readonly pages: number,
    events: PageChannelEvents,
  ) {
    this.#events = events;
    this.#missing = new PageBitmap(pages);
    this.#userfaultfd = new native.Userfaultfd(memory);
  }

  /** Registers all of RAM; `workers` (at least one for bulk) wait for their channels, more are started as needed. */
  static async create(
    memory: NativeMemory,
    pages: number,
    bulk: number,
    workers: PageWorkers,
    events: PageChannelEvents,
  ) {
    const channels = new DestinationPageChannels(memory, pages, events);
    channels.#urgent = channels.#channel(workers.urgent);
    channels.#bulk = workers.bulk.map((worker) => channels.#channel(worker));
    try {
      channels.#userfaultfd.register(0, pages, false);
      while (channels.#bulk.length < bulk) channels.#bulk.push(channels.#channel(await startBulkWorker()));
      return channels;
    } catch (error) {
      await channels.close();
      throw error;
    }
  }

  #channel(worker: PageWorker<DestinationJob>): PageChannel {
    worker.on('failed', (reason) => this.#events.failed(reason));
    worker.on('event', (name) => {
      if (name === ALL_INSTALLED) this.#events.allInstalled();
    });
    return { worker, counters: new Counters(), waits: new WaitHistogram() };
  }

  /** All channels are there. */
  get attached(): boolean {
    return this.#all().every((channel) => channel.socket !== undefined);
  }

  /** Gives a connection to its worker. False if that channel has one already or does not exist. */
  attach(kind: 'urgent' | 'bulk', index: number, socket: Socket): boolean {
    const channel = kind === 'urgent' ? this.#urgent : this.#bulk[index];
    if (channel === undefined || channel.socket !== undefined) return false;
    socket.configure({ noDelay: 1, userTimeoutMs: LINK_TIMEOUT_MS });
    channel.socket = socket;
    channel.worker.run({
      memoryHandle: this.memory.handle,
      userfaultfdHandle: this.#userfaultfd.handle,
      socketHandle: socket.handle,
      pages: this.pages,
      missing: this.#missing.buffer,
      left: this.#left.buffer as SharedArrayBuffer,
      pending: this.#pending.buffer,
      link: this.#link.buffer,
      counters: channel.counters.buffer,
      waits: channel.waits.buffer,
    });
    return true;
  }

  /**
   * What the source has: [first page, pages] pairs; in several parts, none of them twice. Once all of it is told, faults
   * are answered right and RAM may be touched.
   */
  expect(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) {
      Atomics.add(this.#left, 0, this.#missing.setRange(extents[i]!, extents[i + 1]!));
    }
  }

  get pagesMissing(): number {
    return Atomics.load(this.#left, 0);
  }

  /** COMMIT has come. False if the channels broke before: then faults were answered with anything, and no guest may run. */
  handOver(): boolean {
    return this.#link.handOver();
  }

  get broken(): boolean {
    return this.#link.broken;
  }

  sum(name: CounterName): number {
    return this.#all().reduce((total, channel) => total + channel.counters.get(name), 0);
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

  /** Ends the workers and closes the channels. With `keepFaults`, faults go on waiting: vCPUs may be among them. */
  async close(keepFaults = false): Promise<void> {
    this.#link.stop();
    const channels = this.#all();
    for (const { socket } of channels) socket?.shutdown();
    await Promise.all(channels.map(({ worker }) => worker.end()));
    for (const { socket } of channels) socket?.close();
    if (!keepFaults) this.#userfaultfd.close();
  }

  #all(): PageChannel[] {
    return this.#urgent === undefined ? this.#bulk : [this.#urgent, ...this.#bulk];
  }
}
