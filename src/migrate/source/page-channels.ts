/** The source's urgent and bulk channels with their workers, from connecting to the last page released. */
import { availableParallelism } from 'node:os';
import type { PostcopyError } from '../../errors.js';
import { SourcePages } from '../../memory/page-states.js';
import { native, type NativeMemory, type Socket } from '../../native.js';
import { allOpen } from '../link/all-open.js';
import type { PrefetchName } from '../options.js';
import { FaultTrail } from '../prefetch/fault-trail.js';
import { Counters, type CounterName } from '../report/counters.js';
import { GoSignal } from '../../threads/go-signal.js';
import { startPageWorker as start, type PageWorker } from '../../threads/page-worker.js';
import { WorkerCode } from '../../threads/worker-code.js';
import type { MigrationAddress } from '../link/open-channel.js';
import { planWorkers, type PlannedChannel } from '../link/worker-plan.js';
import type { SourceJob } from './job.js';
import { BlockRelease } from './release.js';

interface PageChannel extends PlannedChannel {
  counters: Counters;
  socket?: Socket | undefined;
}

interface ChannelWorker {
  worker: PageWorker<SourceJob>;
  channels: PageChannel[];
}

const CODE = new WorkerCode(new URL('../workers/source-worker.js', import.meta.url));

/** A page worker that is ready for a job. */
export function startPageWorker(): Promise<PageWorker<SourceJob>> {
  return start(CODE);
}

export class SourcePageChannels {
  readonly #pages: SourcePages;
  readonly #blocks: BlockRelease;
  readonly #trail = new FaultTrail();
  readonly #signal = new GoSignal();
  readonly #wakeFd = native.createEventFd();
  readonly #starting: Promise<ChannelWorker>[];
  readonly #workers: ChannelWorker[] = [];
  readonly #channels: PageChannel[];
  /** Pages that went with STATE, and how many have been released on their account. */
  #first: readonly number[] = [];
  #firstReleased = 0;

  /** `first`: a worker started before; as many more as are needed are started. */
  constructor(
    readonly memory: NativeMemory,
    readonly pages: number,
    bulkChannels: number,
    first: Promise<PageWorker<SourceJob>>,
    readonly failed: (reason: PostcopyError) => void,
    readonly pushPlan: PrefetchName,
  ) {
    this.#pages = new SourcePages(pages);
    this.#blocks = new BlockRelease(memory, this.#pages);
    const plan = planWorkers(bulkChannels, availableParallelism()).map((channels) =>
      channels.map((channel): PageChannel => ({ ...channel, counters: new Counters() })),
    );
    this.#channels = plan.flat();
    this.#starting = plan.map((channels, i) => this.#start(i === 0 ? first : startPageWorker(), channels));
    for (const start of this.#starting) start.catch(() => {}); // told by open()
  }

  /** Connects all channels. Throws when the destination does not take one. */
  async open(address: MigrationAddress): Promise<void> {
    const workers = await Promise.all(this.#starting);
    await Promise.all(workers.map((worker) => this.#open(worker, address)));
  }

  async #start(worker: Promise<PageWorker<SourceJob>>, channels: PageChannel[]): Promise<ChannelWorker> {
    const started = { worker: await worker, channels };
    this.#workers.push(started);
    return started;
  }

  async #open({ worker, channels }: ChannelWorker, address: MigrationAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let opened = 0;
      worker.on('channel-open', ({ socketHandle }) => {
        channels[opened++]!.socket = new native.Socket(null, socketHandle);
        if (opened === channels.length) resolve();
      });
      worker.onFailed((reason) => {
        reject(reason);
        this.failed(reason);
      });
      worker.run({
        channels: channels.map(({ kind, index, counters }) => ({
          address: { ...address, channel: kind, index },
          counters: counters.buffer,
        })),
        memoryHandle: this.memory.handle,
        pages: this.pages,
        maps: this.#pages.maps,
        plan: this.pushPlan,
        trail: this.#trail.buffer,
        blocks: this.#blocks.buffer,
        signal: this.#signal.buffer,
        wakeFd: this.#wakeFd,
      });
    });
  }

  /** As far as the kernel knows. */
  get allOpen(): boolean {
    return allOpen(this.#channels.flatMap(({ socket }) => socket ?? []));
  }

  /** What the page server may send, and the push will: [first page, pages] pairs. Before STATE is sent. */
  offer(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) this.#blocks.offer(extents[i]!, extents[i + 1]!);
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
    this.#signal.handOver();
    native.signalEventFd(this.#wakeFd);
  }

  /** The destination has said of every page that it is there, as far as the workers have heard. */
  get allAcknowledged(): boolean {
    return this.#pages.allAcknowledged;
  }

  sum(name: CounterName, kind?: PlannedChannel['kind']): number {
    return this.#channels.reduce(
      (total, channel) => (kind === undefined || channel.kind === kind ? total + channel.counters.get(name) : total),
      kind === 'urgent' ? 0 : this.#ofFirst(name),
    );
  }

  /** Nobody asked for them. Their bytes are those of the control channel. */
  #ofFirst(name: CounterName): number {
    if (name === 'pages') return this.#first.length;
    return name === 'released' ? this.#firstReleased : 0;
  }

  /** Ends the workers and closes the channels; their counts stay. */
  async close(): Promise<void> {
    this.#signal.stop();
    native.signalEventFd(this.#wakeFd);
    await Promise.allSettled(this.#starting);
    for (const { socket } of this.#channels) socket?.shutdown();
    await Promise.all(this.#workers.map(({ worker }) => worker.end()));
    for (const channel of this.#channels) {
      channel.socket?.close();
      channel.socket = undefined;
    }
    native.closeFd(this.#wakeFd);
  }
}
