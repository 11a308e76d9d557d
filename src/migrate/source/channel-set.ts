/**
 * The page channels of one generation at the source, with the workers that serve them: from connecting to the end of the
 * workers. A migration whose connections broke goes on with another set.
 */
import { availableParallelism } from 'node:os';
import { Deferred } from '../../basics/deferred.js';
import type { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { GoSignal } from '../../threads/go-signal.js';
import type { ChannelTrial } from '../../watch/events.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { allOpen } from '../link/all-open.js';
import type { MigrationAddress } from '../link/open-channel.js';
import { planWorkers, type PlannedChannel } from '../link/worker-plan.js';
import { Counters } from '../report/counters.js';
import type { SourceJob } from './job.js';
import { RoundSignal } from './round-signal.js';

export interface PageChannel extends PlannedChannel {
  counters: Counters;
  socket?: Socket | undefined;
}

/** What its channels showed when they were tried. */
export type Trials = readonly ChannelTrial[];

interface ChannelWorker {
  worker: PageWorker<SourceJob>;
  channels: PageChannel[];
  /** Wakes it alone. */
  wakeFd: number;
}

/** A change of the rounds that not all channels have answered. */
interface Unanswered {
  change: number;
  left: number;
  over: Deferred<void>;
}

type Opening = MigrationAddress & Pick<SourceJob, 'tries' | 'tellsLost'>;

/** What all sets of a migration share. */
export type SharedJob = Omit<SourceJob, 'channels' | 'tries' | 'tellsLost' | 'signal' | 'rounds' | 'wakeFd'>;

export class ChannelSet {
  readonly channels: PageChannel[];
  readonly #signal = new GoSignal();
  readonly #rounds = new RoundSignal();
  #unanswered: Unanswered | undefined;
  readonly #starting: Promise<ChannelWorker>[];
  readonly #workers: ChannelWorker[] = [];
  #ended: Promise<void> | undefined;

  /** `start`: gives the next worker; one that is ready, or is started. */
  constructor(
    readonly job: SharedJob,
    bulkChannels: number,
    start: () => Promise<PageWorker<SourceJob>>,
    readonly failed: (reason: PostcopyError) => void,
  ) {
    const plan = planWorkers(bulkChannels, availableParallelism()).map((channels) =>
      channels.map((channel): PageChannel => ({ ...channel, counters: new Counters() })),
    );
    this.channels = plan.flat();
    this.#starting = plan.map((channels) => this.#start(start(), channels));
    for (const starting of this.#starting) starting.catch(() => {}); // told by open()
  }

  /**
   * Connects all channels, and tries them if `tries`: resolves to what they showed. `tellsLost`: the destination takes LOST.
   * Throws when it does not take a channel, or one does not carry what it has to.
   */
  async open(address: MigrationAddress, tries: boolean, tellsLost: boolean): Promise<Trials> {
    const workers = await Promise.all(this.#starting);
    return (await Promise.all(workers.map((worker) => this.#open(worker, { ...address, tries, tellsLost })))).flat();
  }

  async #start(worker: Promise<PageWorker<SourceJob>>, channels: PageChannel[]): Promise<ChannelWorker> {
    const started = { worker: await worker, channels, wakeFd: native.createEventFd() };
    this.#workers.push(started);
    return started;
  }

  async #open({ worker, channels, wakeFd }: ChannelWorker, { tries, tellsLost, ...address }: Opening): Promise<Trials> {
    return new Promise<Trials>((resolve, reject) => {
      let opened = 0;
      worker.on('channel-open', ({ socketHandle }) => {
        const channel = channels[opened++];
        if (channel !== undefined) channel.socket = new native.Socket(null, socketHandle);
        if (opened === channels.length && !tries) resolve([]);
      });
      worker.on('channels-tried', ({ trials }) => resolve(trials));
      worker.on('round-answered', ({ change }) => this.#answered(change));
      worker.onFailed((reason) => {
        reject(reason);
        this.failed(reason);
      });
      worker.run({
        ...this.job,
        tries,
        tellsLost,
        channels: channels.map(({ kind, index, counters }) => ({
          address: { ...address, channel: kind, index },
          counters: counters.buffer,
        })),
        signal: this.#signal.buffer,
        rounds: this.#rounds.buffer,
        wakeFd,
      });
    });
  }

  /** As far as the kernel knows. */
  get allOpen(): boolean {
    return allOpen(this.channels.flatMap(({ socket }) => socket ?? []));
  }

  /** Before the hand-over: what is unsent is copied; resolves when all of it has arrived. */
  async copy(): Promise<void> {
    await this.#allAnswer(this.#rounds.begin());
  }

  /** No page is copied any more, though some may be unsent; resolves when nothing is on its way. */
  async stopCopying(): Promise<void> {
    await this.#allAnswer(this.#rounds.close());
  }

  async #allAnswer(change: number): Promise<void> {
    const left = this.channels.filter(({ kind }) => kind === 'bulk').length;
    this.#unanswered = { change, left, over: new Deferred() };
    this.#wake();
    await this.#unanswered.over.promise;
  }

  #answered(change: number): void {
    const unanswered = this.#unanswered;
    if (unanswered?.change === change && --unanswered.left === 0) unanswered.over.resolve();
  }

  /** The guest runs at the destination: the push begins, and pages it has are released here. */
  startPush(): void {
    this.#signal.handOver();
    this.#wake();
  }

  #wake(): void {
    for (const { wakeFd } of this.#workers) native.signalEventFd(wakeFd);
  }

  /** Ends the workers and closes the channels; their counts stay. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#signal.stop();
    await Promise.allSettled(this.#starting);
    this.#wake();
    for (const { socket } of this.channels) socket?.shutdown();
    await Promise.all(this.#workers.map(({ worker }) => worker.end()));
    for (const channel of this.channels) {
      channel.socket?.close();
      channel.socket = undefined;
    }
    for (const { wakeFd } of this.#workers) native.closeFd(wakeFd);
  }
}
