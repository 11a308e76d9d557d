/**
 * Sends a VM to another host: drives the hand-over (hand-over.ts decides, this acts) on the main thread's event loop,
 * while page workers move the pages.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { MigrationPhase, MigrationProgress, MigrationSummary } from '../report/summary.js';
import { Deadline } from '../../basics/deadline.js';
import { describeError, PostcopyError } from '../../errors.js';
import { harmlessly } from '../../basics/harmless.js';
import { pagesFor } from '../../memory/page-size.js';
import { encodeRamMap, newExtents, pagesIn } from '../../memory/ram-map.js';
import { native } from '../../native.js';
import type { MachineState } from '../../machine/machine-state.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import type { ControlConnection } from '../link/control-connection.js';
import { EventQueue } from '../hand-over/event-queue.js';
import type { Complete, Hello, Message, State } from '../wire/message.js';
import { MIGRATION_ID_BYTES } from '../wire/preamble.js';
import { rehearseCapture } from './rehearse-capture.js';
import { ANSWER_TIMEOUT_MS, HAND_OVER_TIMEOUT_MS } from '../wire/protocol.js';
import { lowerMainThread, raiseMainThread } from '../../threads/priorities.js';
import { contentOf, firstPages, firstState } from './first-pages.js';
import { connectControl } from '../link/connect-control.js';
import {
  isEnd,
  RefusedError,
  stepSource,
  type SourceAction,
  type SourceEvent,
  type SourcePhase,
} from '../hand-over/source.js';
import type { PageWorker } from '../../threads/page-worker.js';
import type { SourceJob } from './job.js';
import { SourcePageChannels } from './page-channels.js';
import { DowntimeLaps } from '../report/downtime.js';
import { SendMetrics } from '../report/send-metrics.js';

export interface SendOptions {
  machine: Machine;
  /** What the destination is told; bulkChannels is how many are opened. */
  hello: Hello;
  host: string;
  port: number;
  /** A page worker started before; this migration's from now on. */
  pageWorker: Promise<PageWorker<SourceJob>>;
  onProgress(progress: MigrationProgress): void;
  /** COMMIT is about to go out: from here on the VM is not ours any more. */
  onCommit(): void;
  /** The migration failed, and the guest cannot go on here yet: another host has one of its disks. */
  onHeld(reason: Error): void;
}

const PROGRESS_INTERVAL_MS = 100;
/** Round trips measured while the destination gets ready; the shortest counts. */
const PINGS = 4;

/** The destination's time to take in what RAM holds; it only saves downtime. */
const CATCH_UP_MS = 1000;

/** Longest stay in a phase; stopping has a limit of its own, the others end by the link's watch. */
const DEADLINES: Partial<Record<SourcePhase, number>> = {
  greeting: ANSWER_TIMEOUT_MS,
  preparing: ANSWER_TIMEOUT_MS,
  loading: HAND_OVER_TIMEOUT_MS,
  committed: HAND_OVER_TIMEOUT_MS,
  doubtful: HAND_OVER_TIMEOUT_MS,
};

const SHOWN: Record<SourcePhase, MigrationPhase> = {
  connecting: 'connecting',
  greeting: 'preparing',
  preparing: 'preparing',
  stopping: 'handing-over',
  loading: 'handing-over',
  committed: 'handing-over',
  doubtful: 'handing-over',
  draining: 'pulling',
  done: 'complete',
  failed: 'failed',
  lost: 'link-lost',
};

/** V8 compiles what the rehearsals have made hot in threads of its own, which hold cores for some milliseconds. */
const SETTLE_MS = 20;

const LINK_GONE: SourceEvent = {
  type: 'failure',
  reason: new PostcopyError('LINK_LOST', 'the link was lost before COMMIT'),
};

/** One migration away from here. */
export class SendVm {
  readonly #options: SendOptions;
  readonly #id = new Uint8Array(randomBytes(MIGRATION_ID_BYTES));
  readonly #events = new EventQueue<SourceEvent>((event) => this.#handle(event));
  readonly #channels: SourcePageChannels;
  readonly #metrics: SendMetrics;
  readonly #progressTimer: NodeJS.Timeout;
  readonly #done: Promise<MigrationSummary>;
  #finish!: (summary: MigrationSummary) => void;
  #phase: SourcePhase = 'connecting';
  #deadline: NodeJS.Timeout | undefined;
  #control: ControlConnection | undefined;
  #state: MachineState | undefined;
  #offered: Uint32Array = new Uint32Array(0);
  #rehearsal: Promise<void> | undefined;
  #ramMap: Uint8Array = new Uint8Array(0);
  #first: Pick<State, 'firstPages' | 'firstContent'> = { firstPages: [], firstContent: new Uint8Array(0) };
  /** Aborted when the migration ends, however. */
  readonly #over = new AbortController();
  readonly #downtime = new DowntimeLaps();
  #clockAt = 0;
  #loadedAfterMicros = 0;
  #runsAfterMicros = 0;
  /** The destination has said that the guest runs there. */
  #runs = false;
  /** Pages that the destination asked for while it loaded the state, and did not run the guest. */
  #askedWhileLoading = 0;
  #complete: Complete | undefined;
  /** What broke first says more than what followed from it. */
  #channelsBroke: Error | undefined;

  constructor(options: SendOptions) {
    this.#options = options;
    const { memory } = options.machine;
    const pages = pagesFor(memory.bytes);
    this.#channels = new SourcePageChannels(memory, pages, options.hello.bulkChannels, options.pageWorker, (reason) =>
      this.#channelsFailed(reason),
    );
    this.#metrics = new SendMetrics(
      options.machine.kind.name,
      pages,
      pagesIn(memory.dataExtents(0, pages)),
      () => this.#channels,
      () => this.#control?.bytesSent ?? 0,
    );
    this.#done = new Promise((resolve) => (this.#finish = resolve));
    this.#progressTimer = setInterval(() => this.#report(), PROGRESS_INTERVAL_MS);
  }

  /** Resolves when the migration is over, however it ended. */
  async run(): Promise<MigrationSummary> {
    try {
      // What the guest has written is on its disks before it stops, so that little is left to write then.
      await this.#options.machine.hostDevices.disks.presync(this.#over.signal);
      if (isEnd(this.#phase)) return await this.#done; // cancelled meanwhile
      const control = await connectControl(this.#options.host, this.#options.port, this.#id);
      if (isEnd(this.#phase)) {
        control.close(); // which #end() did not know
        return await this.#done;
      }
      this.#control = control;
      this.#control.on('message', (message) => this.#receive(message));
      this.#control.on('broken', (reason) => this.#events.push({ type: 'failure', reason }));
      this.#events.push({ type: 'connected' });
    } catch (error) {
      this.#events.push({ type: 'failure', reason: error as Error });
    }
    return this.#done;
  }

  /** The same as run() gives, for others who wait. */
  get outcome(): Promise<MigrationSummary> {
    return this.#done;
  }

  /** Ends the migration if that is still possible: before COMMIT the guest goes on here. After it nothing changes. */
  cancel(reason: PostcopyError): void {
    this.#events.push({ type: 'cancel', reason });
  }

  progress(): MigrationProgress {
    return this.#metrics.progress(SHOWN[this.#phase]);
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'accept':
        return this.#events.push({ type: 'accept' });
      case 'loaded':
        this.#loadedAfterMicros = message.body.afterMicros;
        return this.#events.push({ type: 'loaded' });
      case 'refuse':
        return this.#events.push({ type: 'refuse', reasons: message.body.reasons });
      case 'running':
        this.#runs = true;
        this.#runsAfterMicros = message.body.afterMicros;
        return this.#events.push({ type: 'running' });
      case 'progress':
        return this.#metrics.destinationReports(message.body);
      case 'complete':
        this.#complete = message.body;
        return this.#events.push({ type: 'complete' });
      case 'abort':
        return this.#events.push({
          type: 'abort',
          reason: new PostcopyError('MIGRATION_FAILED', `the destination gave up: ${message.body.reason}`),
        });
      case 'lost':
        this.#runs = true;
        return this.#events.push({
          type: 'failure',
          reason: new PostcopyError('LINK_LOST', `the destination gave up: ${message.body.reason}`),
          acknowledged: false, // it must know
        });
      default:
        return this.#failure(
          new PostcopyError('BAD_PEER', `the destination sent ${message.type}, which is the source's to send`),
        );
    }
  }

  #channelsFailed(reason: Error): void {
    this.#channelsBroke ??= reason;
    this.#events.push({ type: 'channels-broken', reason });
  }

  #failure(reason: Error): void {
    this.#events.push({ type: 'failure', reason });
  }

  async #handle(happened: SourceEvent): Promise<void> {
    const event = this.#withFacts(happened);
    const step = stepSource(this.#phase, event);
    if (step.phase !== this.#phase) this.#enter(step.phase);
    for (const action of step.actions) {
      try {
        await this.#act(action);
      } catch (error) {
        // An ending is carried out to its end, whatever part of it fails.
        if (isEnd(step.phase)) continue;
        this.#failure(error as Error);
        return;
      }
    }
  }

  #withFacts(happened: SourceEvent): SourceEvent {
    // COMMIT on a link that is known to be gone would hand the VM over to nobody.
    if (happened.type === 'loaded' && !this.#linkIsWhole) return LINK_GONE;
    return this.#phase === 'draining' ? { acknowledged: this.#channels.allAcknowledged, ...happened } : happened;
  }

  get #linkIsWhole(): boolean {
    return this.#control!.open && this.#channels.allOpen;
  }

  #enter(phase: SourcePhase): void {
    this.#phase = phase;
    clearTimeout(this.#deadline);
    const timeout = DEADLINES[phase];
    if (timeout === undefined) return;
    this.#deadline = setTimeout(() => {
      this.#failure(
        new PostcopyError('MIGRATION_FAILED', `the destination did not answer for ${timeout / 1000} s while ${phase}`),
      );
    }, timeout);
  }

  async #act(action: SourceAction): Promise<void> {
    switch (action.type) {
      case 'send-hello':
        this.#control!.send('hello', this.#options.hello);
        return this.#rehearse();
      case 'open-channels':
        return this.#openChannels();
      case 'stop-and-capture':
        return this.#stopAndCapture();
      case 'send-state':
        return this.#control!.send('state', { ...this.#state!, ramMap: this.#ramMap, ...this.#first });
      case 'send-commit':
        return this.#sendCommit();
      case 'start-push':
        return this.#startPush();
      case 'send-bye':
        return this.#control!.send('bye', {});
      case 'send-abort':
        return this.#control!.send('abort', { reason: describeError(action.reason) });
      case 'resume-guest':
        return this.#options.machine.goOn().catch((error: Error) => this.#options.onHeld(error));
      case 'finish':
        return this.#end('completed');
      case 'fail':
        return this.#end('failed', action.reason);
      case 'lose':
        return this.#end('link-lost', this.#channelsBroke ?? action.reason);
    }
  }

  /** While the destination builds its machine. What goes wrong is told when the channels are opened. */
  #rehearse(): void {
    this.#rehearsal = rehearseCapture(this.#options.machine);
    this.#rehearsal.catch(() => {});
  }

  /** Everything else that takes time and can be done while the guest still runs. */
  async #openChannels(): Promise<void> {
    raiseMainThread();
    for (let i = 0; i < PINGS; i++) this.#control!.ping();
    await this.#channels.open(this.#options.host, this.#options.port, this.#id);
    await this.#rehearsal;
    await delay(SETTLE_MS);
    this.#offered = this.#options.machine.memory.dataExtents(0, this.#channels.pages);
    this.#channels.offer(this.#offered);
    this.#control!.send('ram', { ramMap: encodeRamMap(this.#offered) });
    // Not while the guest stands still, which would wait for a core then.
    await this.#control!.caughtUp(CATCH_UP_MS);
    this.#events.push({ type: 'channels-open' });
  }

  /**
   * The guest stands still from here. Pages that have come to hold data since RAM was sent are looked up last: saving
   * state may touch guest memory.
   */
  async #stopAndCapture(): Promise<void> {
    const { machine } = this.#options;
    const deadline = Deadline.in(STOPPED_LIMIT_MS);
    this.#downtime.begin(await machine.pause(deadline));
    this.#downtime.lap('stop', native.monotonicMicros());
    const [first, devices] = await this.#releaseDevices(deadline);
    const { state, clockAt } = machine.save(devices);
    this.#downtime.lap('save', native.monotonicMicros());
    this.#state = state;
    this.#clockAt = clockAt;
    const since = newExtents(machine.memory, this.#offered);
    this.#metrics.stopped(pagesIn(this.#offered) + pagesIn(since));
    this.#channels.offer(since);
    this.#ramMap = encodeRamMap(since);
    const pages = this.#channels.takeFirst(first);
    this.#first = { firstPages: pages, firstContent: contentOf(machine.memory, pages) };
    this.#downtime.lap('map', native.monotonicMicros());
    this.#events.push({ type: 'captured' });
  }

  /** Also the pages that vCPUs touch first, found while the device worker is at it. */
  async #releaseDevices(deadline: Deadline): Promise<[first: number[], devices: unknown]> {
    const { machine } = this.#options;
    const devices = machine.releaseDevices(deadline);
    try {
      const first = machine.vcpus.map((vcpu) => firstState(vcpu, machine.kind.name));
      return [firstPages(machine.memory, first), await devices];
    } catch (error) {
      // The guest may go on here only when nothing of this is under way any more.
      await devices.catch(() => {});
      throw error;
    }
  }

  #sendCommit(): void {
    this.#options.onCommit();
    this.#askedWhileLoading = this.#asked;
    const now = native.monotonicMicros();
    const sinceClockMicros = now - this.#clockAt + this.#oneWayMicros();
    this.#control!.send('commit', { epoch: this.#options.hello.epoch, sinceClockMicros });
    this.#downtime.lap('transfer', now);
    this.#downtime.split('transfer', 'load', this.#loadedAfterMicros);
    this.#downtime.add('commit', this.#oneWayMicros());
  }

  #startPush(): void {
    this.#control!.handOver();
    this.#channels.startPush();
    this.#downtime.add('start', this.#runsAfterMicros);
    this.#metrics.downtime(this.#downtime);
    lowerMainThread();
  }

  #oneWayMicros(): number {
    return this.#control!.roundTripMicros / 2;
  }

  #report(): void {
    harmlessly('telling the progress of a migration', () => this.#options.onProgress(this.progress()));
  }

  async #end(status: MigrationSummary['status'], reason?: Error): Promise<void> {
    clearTimeout(this.#deadline);
    clearInterval(this.#progressTimer);
    this.#over.abort(reason);
    lowerMainThread();
    this.#metrics.end();
    this.#report();
    const error =
      reason instanceof RefusedError
        ? new PostcopyError('REFUSED', `${this.#peer} refuses the VM: ${reason.message}`)
        : reason;
    const summary = this.#metrics.summary(status, error, this.#complete);
    try {
      this.#control?.close();
      await this.#channels.close();
    } finally {
      this.#finish(status === 'link-lost' && !this.#hasRunThere ? { ...summary, inDoubt: true } : summary);
    }
  }

  /** The destination has said so, or asked for pages since COMMIT. */
  get #hasRunThere(): boolean {
    return this.#runs || this.#asked > this.#askedWhileLoading;
  }

  get #asked(): number {
    return this.#channels.sum('pages', 'urgent');
  }

  get #peer(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }
}
