/**
 * The page channels of one generation at the destination, with the workers that serve them: from waiting for connections
 * to the end of the workers. A migration whose connections broke goes on with another set.
 */
import { availableParallelism } from 'node:os';
import { native, type Socket } from '../../native.js';
import { GoSignal } from '../../threads/go-signal.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { allOpen } from '../link/all-open.js';
import { planWorkers, type PlannedChannel } from '../link/worker-plan.js';
import { Counters } from '../report/counters.js';
import { WaitHistogram } from '../report/wait-histogram.js';
import { HANDED_OVER_LINK_TIMEOUT_MS } from '../wire/protocol.js';
import type { DestinationJob } from './job.js';

export interface PageChannel extends PlannedChannel {
  counters: Counters;
  waits: WaitHistogram;
  socket?: Socket;
}

/** A worker runs when all of its channels are there. */
interface ChannelWorker {
  worker: PageWorker<DestinationJob>;
  channels: PageChannel[];
  runs: boolean;
  /** Resolves when it installs nothing any more: it answers faults alone, or is gone. */
  idle: Promise<void>;
}

/** What all sets of a migration share. */
export type SharedJob = Omit<DestinationJob, 'channels' | 'signal' | 'wakeFd'>;

export class ChannelSet {
  readonly #signal = new GoSignal();
  readonly #wakeFd = native.createEventFd();
  readonly #workers: ChannelWorker[] = [];
  #ended: Promise<void> | undefined;

  constructor(readonly job: SharedJob) {}

  /** How many workers that many channels take on this host. */
  static workersFor(bulk: number): number {
    return planWorkers(bulk, availableParallelism()).length;
  }

  /** The workers wait for their channels; they are the set's from now on. */
  use(workers: readonly PageWorker<DestinationJob>[], bulk: number): void {
    const plans = planWorkers(bulk, availableParallelism());
    for (const [i, worker] of workers.entries()) {
      const plan = plans[i] ?? [];
      const channels = plan.map((channel) => ({ ...channel, counters: new Counters(), waits: new WaitHistogram() }));
      const alone = new Promise<void>((resolve) => worker.on('alone', () => resolve()));
      this.#workers.push({ worker, channels, runs: false, idle: Promise.race([alone, worker.exited]) });
    }
  }

  get channels(): PageChannel[] {
    return this.#workers.flatMap(({ channels }) => channels);
  }

  /** All channels are there. */
  get attached(): boolean {
    return this.channels.every((channel) => channel.socket !== undefined);
  }

  /** Gives a connection to its channel. False if that has one already or does not exist. */
  attach(kind: PlannedChannel['kind'], index: number, socket: Socket): boolean {
    const isIt = (channel: PageChannel) => channel.kind === kind && (kind === 'urgent' || channel.index === index);
    const channel = this.channels.find(isIt);
    if (channel === undefined || channel.socket !== undefined || this.#signal.stopped) return false;
    socket.configure({ noDelay: 1, userTimeoutMs: HANDED_OVER_LINK_TIMEOUT_MS });
    channel.socket = socket;
    return true;
  }

  /** Workers all of whose channels are there begin. */
  run(): void {
    for (const worker of this.#workers) {
      const channels = worker.channels.flatMap(({ kind, socket, counters, waits }) =>
        socket === undefined
          ? []
          : [{ kind, socketHandle: socket.handle, counters: counters.buffer, waits: waits.buffer }],
      );
      if (worker.runs || channels.length < worker.channels.length) continue;
      worker.runs = true;
      worker.worker.run({ ...this.job, channels, signal: this.#signal.buffer, wakeFd: this.#wakeFd });
    }
  }

  /** False if the channels broke before: then faults were answered with anything, and no guest may run. */
  handOver(): boolean {
    return !this.broken && this.#signal.handOver();
  }

  /** As far as the workers or the kernel know. */
  get broken(): boolean {
    return this.#signal.broken || !allOpen(this.channels.flatMap(({ socket }) => socket ?? []));
  }

  /**
   * Of a set that was handed over: breaks what is left of its connections. Resolves when nothing is installed any more; the
   * worker that answers faults goes on with those that need no source.
   */
  async part(): Promise<void> {
    for (const { socket } of this.channels) socket?.shutdown();
    await Promise.all(this.#workers.filter(({ runs }) => runs).map(({ idle }) => idle));
  }

  /** Ends the workers and closes the channels. Faults go on waiting: vCPUs may be among them. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#signal.stop();
    native.signalEventFd(this.#wakeFd);
    for (const { socket } of this.channels) socket?.shutdown();
    await Promise.all(this.#workers.map(({ worker }) => worker.end()));
    for (const { socket } of this.channels) socket?.close();
    native.closeFd(this.#wakeFd);
  }
}
