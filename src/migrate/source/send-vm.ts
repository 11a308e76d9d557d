/**
 * Sends a VM to another host: drives the hand-over (hand-over/source.ts decides, this acts) on the main thread's event
 * loop, while page workers move the pages.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { MovingOutput } from '../../console/moving-output.js';
import type { MigrationPhase, MigrationProgress, MigrationSummary } from '../report/summary.js';
import { Deferred } from '../../basics/deferred.js';
import type { Security } from '../../configure/security.js';
import { describeError, PostcopyError } from '../../errors.js';
import { harmlessly } from '../../basics/harmless.js';
import { pagesFor } from '../../memory/page-size.js';
import { decodeRamMap, encodeRamMap, pagesIn } from '../../memory/ram-map.js';
import { OomScore } from '../../host/oom-score.js';
import { native } from '../../native.js';
import type { Machine } from '../../machine/machine.js';
import { Drive, type Turn } from '../hand-over/drive.js';
import * as source from '../hand-over/source.js';
import type { Body, Hello, Message } from '../wire/message.js';
import type { PrefetchName } from '../options.js';
import { problemOfChoice } from '../wire/features.js';
import { MIGRATION_ID_BYTES } from '../wire/preamble.js';
import { rehearseCapture } from './rehearse-capture.js';
import {
  ALONE_AT_MOST_MS,
  ANSWER_TIMEOUT_MS,
  canRecover,
  CHANNEL_TRIAL,
  LOST_PAGES,
  fieldsBeyond,
  HAND_OVER_TIMEOUT_MS,
  PREPARING_TIMEOUT_MS,
  RECENT_OUTPUT,
  ROUNDS,
  waitsOn,
  type ProtocolVersion,
} from '../wire/protocol.js';
import { lowerMainThread, raiseMainThread } from '../../threads/priorities.js';
import { Dialer } from '../link/dialer.js';
import { connectControl } from '../link/connect-control.js';
import { eventOf, released } from './destination-says.js';
import { RequestTrace } from './request-trace.js';
import { Reunion, type Control, type Interruption } from './reunion.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { capture, type Capture } from './capture.js';
import type { SourceJob } from './job.js';
import type { RoundsGoal } from './next-round.js';
import { SourcePageChannels } from './page-channels.js';
import { RateLimit } from '../flow/rate-limit.js';
import { Rounds } from './rounds.js';
import { WriteWatch } from './write-watch.js';
import type { DowntimeLaps } from '../report/downtime.js';
import { SendMetrics, type Ending } from '../report/send-metrics.js';

export interface SendOptions {
  machine: Machine;
  /** What the destination is told; bulkChannels is how many are opened. */
  hello: Hello;
  prefetch: PrefetchName;
  /** Seconds for which it is watched where the guest writes. */
  watch: number | undefined;
  /** Bytes per second that may be pushed at most; undefined: any. */
  bandwidth: number | undefined;
  /** Of the modes that copy pages before the hand-over, as `hello` says. */
  rounds: RoundsGoal | undefined;
  /** A file that takes what the destination asks for. */
  trace?: string | undefined;
  host: string;
  port: number;
  /** Of every connection to there. */
  security: Security;
  /** A page worker started before; this migration's from now on. */
  pageWorker: Promise<PageWorker<SourceJob>>;
  /** It ends where the guest would be stopped. */
  dryRun: boolean;
  /** What the guest's consoles have shown lately. */
  output: Pick<MovingOutput, 'take'>;
  onProgress(progress: MigrationProgress): void;
  /** COMMIT is about to go out: from here on the VM is not ours any more. */
  onCommit(): void;
  /** The migration failed, and the guest cannot go on here yet: another host has one of its disks. */
  onHeld(reason: Error): void;
  /** So many pages that the VM needs are lost to memory errors of this host; `told`: the destination knows of them. */
  onPagesLost(pages: number, told: boolean): void;
  /** The link broke behind COMMIT, and the ends look for each other; or they have met, and `interruption` is undefined. */
  onInterrupted(interruption: SendInterruption | undefined): void;
}

export interface SendInterruption extends Interruption {
  /** The destination has said that the guest runs there. */
  ranThere: boolean;
  /** monotonicMicros(): from then on no destination runs the guest any more, unless it has said so. */
  takeBackFrom: number;
}

type Channels = Pick<
  SourcePageChannels,
  | 'open'
  | 'allOpen'
  | 'offer'
  | 'hold'
  | 'addCopies'
  | 'uncopied'
  | 'takeUncopied'
  | 'copy'
  | 'stopCopying'
  | 'pushFirst'
  | 'takeFirst'
  | 'startPush'
  | 'part'
  | 'rejoin'
  | 'pushOn'
  | 'allAcknowledged'
  | 'sum'
  | 'follow'
  | 'close'
>;
type State = source.SourceState<Control, Capture>;
type Event = source.SourceEvent<Control, Capture>;
type Action = source.SourceAction<Control, Capture>;
type Step = source.SourceStep<Control, Capture>;

/** What a migration is made with; a test hands in others. */
export interface SendParts {
  connect(...where: Parameters<typeof connectControl>): Promise<Control>;
  createChannels(...options: ConstructorParameters<typeof SourcePageChannels>): Channels;
  rehearse(machine: Machine): Promise<void>;
}

const PARTS: SendParts = {
  connect: connectControl,
  createChannels: (...options) => new SourcePageChannels(...options),
  rehearse: rehearseCapture,
};

const PROGRESS_INTERVAL_MS = 100;
/** Round trips measured while the destination gets ready; the shortest counts. */
const PINGS = 4;

/** The destination's time to take in what RAM holds; it only saves downtime. */
const CATCH_UP_MS = 1000;

/** Writing back, connecting, copying and stopping have limits of their own, and what follows RUNNING ends by the link's watch. */
const DEADLINES: Partial<Record<source.SourcePhase, number>> = {
  greeting: ANSWER_TIMEOUT_MS,
  preparing: PREPARING_TIMEOUT_MS,
  rejoining: ANSWER_TIMEOUT_MS,
  loading: HAND_OVER_TIMEOUT_MS,
  committed: HAND_OVER_TIMEOUT_MS,
  doubtful: HAND_OVER_TIMEOUT_MS,
};

const SHOWN: Record<source.SourcePhase, MigrationPhase> = {
  ready: 'writing-back',
  'writing-back': 'writing-back',
  connecting: 'connecting',
  greeting: 'preparing',
  preparing: 'preparing',
  copying: 'copying',
  stopping: 'handing-over',
  loading: 'handing-over',
  committed: 'handing-over',
  doubtful: 'handing-over',
  interrupted: 'interrupted',
  rejoining: 'interrupted',
  draining: 'pulling',
  settling: 'pulling',
  done: 'complete',
  failed: 'failed',
  tried: 'complete',
  lost: 'link-lost',
};

/** V8 compiles what the rehearsals have made hot in threads of its own, which hold cores for some milliseconds. */
const SETTLE_MS = 20;

/** One migration away from here. */
export class SendVm {
  readonly #options: SendOptions;
  readonly #parts: SendParts;
  readonly #id = new Uint8Array(randomBytes(MIGRATION_ID_BYTES));
  readonly #reunion: Reunion;
  /** What the destination speaks, once that is known. */
  #version: ProtocolVersion | undefined;
  readonly #drive: Drive<State, Event, Action>;
  /** To where the destination is; somebody may say that it is elsewhere by now. */
  #dialer: Dialer;
  /** Those to where the destination was before. */
  readonly #oldDialers: Dialer[] = [];
  readonly #channels: Channels;
  readonly #limit = new RateLimit();
  readonly #metrics: SendMetrics;
  readonly #trace: RequestTrace | undefined;
  readonly #progressTimer: NodeJS.Timeout;
  readonly #oomScore = new OomScore();
  readonly #done = new Deferred<MigrationSummary>();
  #rounds: Rounds | undefined;
  #watch: WriteWatch | undefined;
  #rehearsal: Promise<void> = Promise.resolve();
  #laps: DowntimeLaps | undefined;
  #committedAt = 0;
  #interruption: SendInterruption | undefined;
  /** Pages that the destination asked for while it loaded the state, and did not run the guest. */
  #askedBeforeCommit = 0;
  /** Features that the destination has chosen. */
  #chosen: readonly string[] = [];
  /** Pages that are lost, as was told last. */
  #lost = 0;

  constructor(options: SendOptions, parts = PARTS) {
    this.#options = options;
    this.#parts = parts;
    this.#reunion = new Reunion(this.#id, parts.connect);
    const { machine, hello, pageWorker, prefetch, bandwidth } = options;
    const { memory } = machine;
    const totalPages = pagesFor(memory.bytes);
    this.#drive = new Drive<State, Event, Action>({
      first: { phase: 'ready' },
      foresee: (state, event) => source.stepSource(state, event, this.#facts(false)),
      decide: (state, event) => this.#decide(state, event),
      isEnd: source.isEnd,
      deadlines: DEADLINES,
      tooLate,
      failure,
      act: (action, turn) => this.#act(action, turn),
      giveBack,
    });
    this.#dialer = new Dialer(options);
    const broken = (reason: PostcopyError, generation: number) =>
      this.#drive.push({ type: 'channels-broken', reason, generation });
    this.limit(bandwidth);
    const limit = this.#limit;
    const copies = options.rounds !== undefined;
    const mode = options.rounds?.mode ?? 'post-copy';
    this.#channels = parts.createChannels(
      ...([memory, totalPages, hello.bulkChannels, pageWorker, broken, prefetch, limit, copies] as const),
    );
    this.#metrics = new SendMetrics({ machine: machine.kind.name, mode, totalPages, channels: this.#channels, limit });
    harmlessly('counting the pages to move', async () => this.#metrics.found(pagesIn(await memory.findDataExtents())));
    this.#trace = options.trace === undefined ? undefined : this.#traceIn(options.trace, totalPages);
    this.#progressTimer = setInterval(() => {
      this.#report();
      harmlessly('tracing a migration', () => this.#trace?.note());
    }, PROGRESS_INTERVAL_MS);
  }

  #traceIn(file: string, pages: number): RequestTrace {
    const head = async () => {
      const extents = await this.#options.machine.memory.findDataExtents();
      return { kind: 'requests', pages, vcpus: 1, extents } as const;
    };
    return new RequestTrace(file, this.#channels, head());
  }

  /** Resolves when the migration is over, however it ended. */
  run(): Promise<MigrationSummary> {
    this.#drive.push({ type: 'begin' });
    return this.#done.promise;
  }

  /** The same as run() gives, for others who wait. */
  get outcome(): Promise<MigrationSummary> {
    return this.#done.promise;
  }

  /** Ends the migration if that is still possible: before COMMIT the guest goes on here. After it nothing changes. */
  cancel(reason: PostcopyError): void {
    this.#drive.push({ type: 'cancel', reason });
  }

  /** In an interruption: the destination is gone for good, and nothing of it will be heard. */
  giveUp(reason: PostcopyError): void {
    this.#drive.push({ type: 'give-up', reason });
  }

  /** In an interruption: looks for the destination at once, also at another address. */
  recover(address?: { host: string; port: number }): void {
    if (address !== undefined) {
      this.#oldDialers.push(this.#dialer);
      this.#dialer = new Dialer({ ...address, security: this.#options.security });
    }
    this.#reunion.hurry();
  }

  /** Bytes per second that may be pushed at most from now on; undefined: any. */
  limit(bandwidth: number | undefined): void {
    this.#limit.set(bandwidth, native.monotonicMicros());
  }

  get interruption(): SendInterruption | undefined {
    return this.#interruption;
  }

  progress(): MigrationProgress {
    return this.#metrics.progress(this.#watch?.isOn === true ? 'watching' : SHOWN[this.#drive.state.phase]);
  }

  /** What an event means depends on what other threads have done by now, not on what they have told of it. */
  #decide(state: State, event: Event): Step {
    const sent = state.phase === 'loading' && event.type === 'loaded';
    // COMMIT on a link that is known to be gone would hand the VM over to nobody.
    const linkIsGone = sent && !(state.control.open && this.#channels.allOpen);
    const acknowledged = state.phase === 'draining' && this.#channels.allAcknowledged;
    return source.stepSource(state, linkIsGone ? failure(LINK_GONE_BEFORE_COMMIT) : event, this.#facts(acknowledged));
  }

  #facts(acknowledged: boolean): source.SourceFacts {
    const recovers = this.#version === undefined || canRecover(this.#version);
    return { acknowledged, known: this.#channels.sum('pages', 'bulk') > 0, recovers };
  }

  async #act(action: Action, { signal, settled }: Turn): Promise<Event | undefined> {
    switch (action.type) {
      case 'write-back':
        return this.#writeBack(signal);
      case 'connect':
        return { type: 'connected', control: await this.#parts.connect(this.#dialer, this.#id, signal) };
      case 'send-hello':
        return this.#greet(action.control);
      case 'open-channels':
        return this.#openChannels(action.control, signal);
      case 'copy-rounds':
        return this.#copyRounds(action.control, signal);
      case 'stop-and-capture':
        return this.#stopAndCapture(action.offered, signal);
      case 'send-state':
        return void action.control.send('state', action.capture.state);
      case 'send-commit':
        return void this.#sendCommit(action);
      case 'start-push':
        return void this.#startPush(action);
      case 'part':
        return void (await this.#part(action.control));
      case 'meet':
        return this.#meet(action, signal);
      case 'rejoin':
        return this.#rejoin(action);
      case 'push-on':
        return void this.#pushOn(action.control);
      case 'settle':
        return this.#settle(action.control);
      case 'send-bye':
        return void action.control.send('bye', {});
      case 'send-abort':
        return void action.control.send('abort', { reason: describeError(action.reason) });
      case 'resume-guest':
        await settled; // one that is still being stopped
        return void (await this.#resumeGuest());
      case 'hang-up':
        return void action.control.close();
      case 'await-release':
        return void (await released(action.control));
      case 'finish-dry-run':
        return void (await this.#end({ status: 'dry-run' }));
      case 'finish':
        return void (await this.#end({ status: 'completed', complete: action.complete }));
      case 'fail':
        return void (await this.#end({ status: 'failed', reason: this.#explained(action.reason) }));
      case 'lose':
        return void (await this.#end({ status: 'link-lost', reason: action.reason }, action.ranThere));
    }
  }

  /** What the guest has written is on its disks before it stops, so that little is left to write then. */
  async #writeBack(signal: AbortSignal): Promise<Event> {
    await this.#options.machine.hostDevices.disks.presync(signal);
    return { type: 'written-back' };
  }

  #greet(control: Control): Event | undefined {
    const { hello } = this.#options;
    this.#version = control.version;
    this.#listen(control, 0);
    if (hello.paused && fieldsBeyond(control.version, 'hello').includes('paused')) return failure(this.#wouldRun());
    if (this.#options.rounds !== undefined && fieldsBeyond(control.version, 'hello').includes('mode')) {
      return failure(this.#takesNoCopies());
    }
    if (this.#options.dryRun && !waitsOn(control.version)) return failure(this.#wouldEnd());
    control.send('hello', hello);
    // While the destination builds its machine. What goes wrong is told when the channels are opened.
    this.#rehearsal = this.#parts.rehearse(this.#options.machine);
    this.#rehearsal.catch(() => {});
    return undefined;
  }

  #wouldRun(): PostcopyError {
    const text = `${this.#dialer.peer} is of an older release, which would run a VM that is paused: resume it first`;
    return new PostcopyError('REFUSED', text);
  }

  #takesNoCopies(): PostcopyError {
    const { mode } = this.#options.hello;
    const text = `${this.#dialer.peer} is of an older release, which takes no pages before the guest stops, as mode ${mode} needs: upgrade it, or use mode post-copy`;
    return new PostcopyError('REFUSED', text);
  }

  #wouldEnd(): PostcopyError {
    const text = `${this.#dialer.peer} is of an older release, whose "receive" ends when a VM does not come: it can only be tried by moving the VM`;
    return new PostcopyError('REFUSED', text);
  }

  /** As it was before: one that was paused stays so. */
  async #resumeGuest(): Promise<void> {
    const { machine, hello, onHeld } = this.#options;
    await machine.goOn(hello.paused).catch((error: Error) => onHeld(error));
  }

  #listen(control: Control, generation: number): void {
    control.on('message', (message) => this.#receive(message, generation));
    control.on('broken', (reason) => this.#drive.push({ ...failure(reason), generation }));
    this.#metrics.connected(control);
  }

  #receive(message: Message, generation: number): void {
    if (message.type === 'progress') this.#metrics.destinationReports(message.body);
    else if (message.type === 'accept') this.#drive.push(this.#accepted(message.body));
    else this.#drive.push({ ...eventOf(message), generation });
  }

  #accepted({ features, findings = [] }: Body<'accept'>): Event {
    const isShort = this.#options.rounds !== undefined && !features.includes(ROUNDS);
    const problem =
      problemOfChoice(this.#options.hello.features, features) ?? (isShort ? this.#takesNoCopies() : undefined);
    this.#chosen = features;
    this.#metrics.compared(findings);
    return problem === undefined ? { type: 'accept' } : failure(problem);
  }

  /** Everything else that takes time and can be done while the guest still runs. */
  async #openChannels(control: Control, signal: AbortSignal): Promise<Event> {
    const { machine } = this.#options;
    raiseMainThread();
    for (let i = 0; i < PINGS; i++) control.ping();
    const route = this.#dialer.routeTo(control.remote);
    const address = { ...route, id: this.#id, version: control.version, generation: 0 };
    const has = (feature: string) => this.#chosen.includes(feature);
    this.#metrics.tried(await this.#channels.open(address, has(CHANNEL_TRIAL), has(LOST_PAGES)));
    await this.#rehearsal;
    await delay(SETTLE_MS, undefined, { signal });
    await this.#watchWrites(signal);
    const offered = await machine.memory.findDataExtents();
    this.#metrics.found(pagesIn(offered));
    if (this.#options.dryRun) return this.#tried();
    if (this.#options.rounds !== undefined) return { type: 'rounds-open' };
    this.#channels.offer(offered);
    this.#sendOutput(control);
    control.send('ram', { ramMap: encodeRamMap(offered) });
    // Not while the guest stands still, which would wait for a core then.
    await control.caughtUp(CATCH_UP_MS);
    return { type: 'channels-open', offered };
  }

  /** The guest goes before all of this. One that stands still writes nothing. */
  async #watchWrites(signal: AbortSignal): Promise<void> {
    const { machine, watch: seconds, dryRun, hello } = this.#options;
    if (seconds === undefined || dryRun || hello.paused) return;
    lowerMainThread();
    this.#watch = new WriteWatch(machine, seconds);
    this.#metrics.watching(this.#watch);
    const written = await this.#watch.run(signal);
    if (written !== undefined) this.#channels.pushFirst(written);
    raiseMainThread();
  }

  async #tried(): Promise<Event> {
    // Whether this host can tell what the guest writes.
    if (this.#options.rounds !== undefined) (await this.#options.machine.beginDirtyLog()).end();
    return { type: 'tried', reason: ONLY_TRIED };
  }

  /** The guest goes before all of this, but for its end. */
  async #copyRounds(control: Control, signal: AbortSignal): Promise<Event> {
    const { machine, rounds: goal } = this.#options;
    if (goal === undefined) throw new PostcopyError('INTERNAL', 'rounds in post-copy');
    lowerMainThread();
    this.#sendOutput(control);
    control.send('copying', {});
    this.#rounds = new Rounds(machine, this.#channels, goal, this.#limit);
    this.#metrics.copying(this.#rounds);
    await this.#rounds.run(signal, () => control.roundTripMicros);
    raiseMainThread();
    return { type: 'copied' };
  }

  async #stopAndCapture(offered: Uint32Array, signal: AbortSignal): Promise<Event> {
    const { machine, hello } = this.#options;
    const captured = await capture(machine, this.#channels, offered, signal, hello.paused, this.#rounds);
    this.#metrics.stopped(captured.dataPages, captured.heldPages);
    return { type: 'captured', capture: captured };
  }

  #sendCommit({ control, capture, loaded }: Extract<Action, { type: 'send-commit' }>): void {
    const { laps, clocksAt } = capture;
    this.#sendOutput(control);
    this.#laps = laps;
    this.#options.onCommit();
    this.#oomScore.spare();
    this.#askedBeforeCommit = this.#asked;
    const now = native.monotonicMicros();
    this.#committedAt = now;
    const oneWayMicros = control.roundTripMicros / 2;
    const sinceClockMicros = now - clocksAt.atMicros + oneWayMicros;
    control.send('commit', {
      epoch: this.#options.hello.epoch,
      sinceClockMicros,
      clocksAtMicros: clocksAt.atMicros,
      wallClockMs: clocksAt.wallClockMs,
    });
    void this.#rounds?.end(); // before any RAM is given back here
    // While COMMIT is on its way.
    harmlessly('ordering the pages that are left', () => this.#rounds?.pushWrittenFirst());
    laps.lap('transfer', now);
    laps.split('transfer', 'load', loaded.afterMicros);
    laps.add('commit', oneWayMicros);
  }

  /** Ahead of what the guest writes there. Of what it has written last, nothing is left on the way from its devices by now. */
  #sendOutput(control: Control): void {
    const output = this.#chosen.includes(RECENT_OUTPUT) ? this.#options.output.take() : undefined;
    if (output !== undefined) control.send('output', output);
  }

  #startPush({ control, capture, running }: Extract<Action, { type: 'start-push' }>): void {
    control.bearLongSilence();
    this.#channels.startPush();
    this.#options.machine.hostDevices.memory.release(); // what it has not touched by now, it never will
    if (canRecover(control.version)) control.send('pushing', {});
    capture.laps.add('start', running.afterMicros);
    this.#metrics.downtime(capture.laps);
    lowerMainThread();
  }

  async #part(control: Control): Promise<void> {
    control.close();
    lowerMainThread();
    this.#report();
    await this.#channels.part();
  }

  /** Resolves when the destination has said what it is, however long that takes. */
  async #meet({ ranThere, broke }: Extract<Action, { type: 'meet' }>, signal: AbortSignal): Promise<Event> {
    const takeBackFrom = this.#committedAt + ALONE_AT_MOST_MS * 1000;
    const tell = (it: Interruption) => this.#tellInterrupted({ ...it, ranThere, takeBackFrom });
    const met = await this.#reunion.meet(describeError(broke), () => this.#dialer, tell, signal);
    const { control, generation, standing } = met;
    this.#listen(control, generation);
    // It may have broken before anybody listened.
    if (!control.open) this.#drive.push({ ...failure(LINK_GONE), generation });
    return { type: 'met', control, generation, standing };
  }

  async #rejoin({ control, generation, missing }: Extract<Action, { type: 'rejoin' }>): Promise<Event> {
    const lacking = decodeRamMap(missing, pagesFor(this.#options.machine.memory.bytes));
    const { remote, version } = control;
    await this.#channels.rejoin({ ...this.#dialer.routeTo(remote), id: this.#id, version, generation }, lacking);
    return { type: 'rejoined' };
  }

  #pushOn(control: Control): void {
    control.bearLongSilence();
    this.#channels.pushOn();
    control.send('pushing', {});
    // All that is known of it, if RUNNING has not come.
    if (this.#laps !== undefined) this.#metrics.downtime(this.#laps);
    this.#reunion.over();
    this.#tellInterrupted(undefined);
  }

  async #settle(control: Control): Promise<Event> {
    control.send('pushing', {});
    const answered = await control.caughtUp(ANSWER_TIMEOUT_MS);
    return answered ? { type: 'settled' } : failure(LINK_GONE);
  }

  #tellInterrupted(interruption: SendInterruption | undefined): void {
    this.#interruption = interruption;
    harmlessly('telling of an interruption', () => this.#options.onInterrupted(interruption));
  }

  #report(): void {
    harmlessly('telling the progress of a migration', () => this.#options.onProgress(this.progress()));
    const lost = this.#channels.sum('lost');
    if (lost === this.#lost) return;
    this.#lost = lost;
    harmlessly('telling of lost pages', () => this.#options.onPagesLost(lost, this.#chosen.includes(LOST_PAGES)));
  }

  /** ranThere: whether the destination has said so. */
  async #end(ending: Ending, ranThere = true): Promise<void> {
    clearInterval(this.#progressTimer);
    lowerMainThread();
    this.#oomScore.restore();
    this.#metrics.end();
    this.#report();
    const summary = this.#metrics.summary(ending);
    try {
      await Promise.all([this.#rounds?.end(), this.#watch?.end()]);
      await this.#channels.close();
      await Promise.all([this.#dialer, ...this.#oldDialers].map((dialer) => dialer.close()));
    } finally {
      await this.#trace?.end();
      const inDoubt = ending.status === 'link-lost' && !ranThere && this.#asked <= this.#askedBeforeCommit;
      this.#done.resolve(inDoubt ? { ...summary, inDoubt } : summary);
    }
  }

  /** Pages that the destination has asked for; after COMMIT, only a guest that runs does. */
  get #asked(): number {
    return this.#channels.sum('pages', 'urgent');
  }

  #explained(reason: Error): Error {
    if (!(reason instanceof source.RefusedError)) return reason;
    return new PostcopyError('REFUSED', `${this.#dialer.peer} refuses the VM: ${reason.message}`);
  }
}

const LINK_GONE_BEFORE_COMMIT = new PostcopyError('LINK_LOST', 'the link was lost before COMMIT');
const LINK_GONE = new PostcopyError('LINK_LOST', 'the link was lost');

const ONLY_TRIED = new PostcopyError('MIGRATION_FAILED', 'it was only asked whether the VM could come (a dry run)');

function failure(reason: Error): Event {
  return { type: 'failure', reason };
}

function tooLate(phase: source.SourcePhase, limitMs: number): Error {
  return new PostcopyError('MIGRATION_FAILED', `the destination did not answer for ${limitMs / 1000} s while ${phase}`);
}

/** A connection that came when the migration was over is nobody's. */
function giveBack(event: Event): void {
  if (event.type === 'connected' || event.type === 'met') event.control.close();
}
