/**
 * Takes a VM from another host: drives the hand-over (hand-over/destination.ts decides, this acts) on the main thread's
 * event loop, while page workers receive and install the pages.
 */
import type { ConsoleOutput } from '../../console/moving-output.js';
import { Deadline } from '../../basics/deadline.js';
import { Deferred } from '../../basics/deferred.js';
import { describeError, PostcopyError } from '../../errors.js';
import { harmlessly } from '../../basics/harmless.js';
import { bytesOfPages } from '../../memory/page-size.js';
import { decodeRamMap, encodeRamMap } from '../../memory/ram-map.js';
import { OomScore } from '../../host/oom-score.js';
import { native, type Socket } from '../../native.js';
import type { Finding } from '../../watch/events.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import type { ControlConnection } from '../link/control-connection.js';
import * as destination from '../hand-over/destination.js';
import { Drive, type Turn } from '../hand-over/drive.js';
import { MemoryMeter } from '../report/memory-meter.js';
import { chooseFeatures } from '../wire/features.js';
import type { Complete, Hello, Message, Standing } from '../wire/message.js';
import { rehearseLoading } from './rehearse-loading.js';
import {
  ALONE_MS,
  ANSWER_TIMEOUT_MS,
  canRecover,
  HAND_OVER_TIMEOUT_MS,
  LOST_PAGES,
  PREPARING_TIMEOUT_MS,
  PROGRESS_INTERVAL_MS,
} from '../wire/protocol.js';
import { lowerGuest, lowerMainThread, raiseGuest } from '../../threads/priorities.js';
import { objectionsTo } from './checks/check-hello.js';
import { findingsOf } from './checks/findings.js';
import { clocksMoment } from './clocks-moment.js';
import type { WholeBlocks } from './huge-pages.js';
import { loadState } from './load-state.js';
import { DestinationPageChannels, type PageChannelEvents } from './page-channels.js';
import { WatchdogExcuse } from './watchdog-excuse.js';
import { marksLostPages } from './marks-lost.js';
import { letGo, prepare, type Arrival, type PrepareHooks, type PrepareParts } from './prepare.js';

export interface ReceiveHooks extends PrepareHooks {
  /** The VM runs here, or is paused if HELLO has said so. */
  onRunning(machine: Machine, hello: Hello): void;
  /** What the guest's consoles showed at the source; before it runs here. */
  onOutput(output: ConsoleOutput): void;
  /** Pages of the VM wait for memory of this host. */
  onMemoryShort(): void;
  /** A page of the VM was lost to a memory error of the source's host. */
  onPageLost(page: number): void;
  /** The link to the source broke; the guest runs on, and who needs a page that is not here waits. */
  onInterrupted(reason: Error): void;
  /** The source has come again. */
  onMet(): void;
}

export type ReceiveOutcome =
  | { status: 'completed'; machine: Machine; hello: Hello; wholeBlocks: WholeBlocks; complete: Complete }
  /** The VM was refused; another may come. */
  | { status: 'refused'; reasons: string[] }
  /** It broke before LOADED, so that the source cannot have handed it over: another may come. */
  | { status: 'not-begun'; reason: Error }
  /** Before COMMIT: the guest never ran here. */
  | { status: 'failed'; reason: Error }
  /** After COMMIT: the guest stands still here, short of pages. */
  | { status: 'lost'; reason: Error; machine: Machine; pagesMissing: number };

type Control = Pick<ControlConnection, 'on' | 'send' | 'close' | 'bearLongSilence' | 'peerOffsetMicros' | 'version'>;
type State = destination.DestinationState<Arrival>;
type Event = destination.DestinationEvent<Arrival>;
type Action = destination.DestinationAction<Arrival>;
type Step = destination.DestinationStep<Arrival>;

const PARTS: PrepareParts = {
  objectionsTo,
  createChannels: (...options) => DestinationPageChannels.create(...options),
  rehearse: rehearseLoading,
};

const DEADLINES: Partial<Record<destination.DestinationPhase, number>> = {
  waiting: ANSWER_TIMEOUT_MS,
  checking: ANSWER_TIMEOUT_MS,
  accepted: PREPARING_TIMEOUT_MS,
  loading: HAND_OVER_TIMEOUT_MS,
  loaded: HAND_OVER_TIMEOUT_MS,
};

/** One VM on its way here. */
export class ReceiveVm {
  /** Of the last generation. */
  #control: Control;
  #generation = 0;
  readonly #hooks: ReceiveHooks;
  readonly #parts: PrepareParts;
  readonly #drive: Drive<State, Event, Action>;
  readonly #meter: MemoryMeter;
  readonly #done = new Deferred<ReceiveOutcome>();
  readonly #oomScore = new OomScore();
  #progressTimer: NodeJS.Timeout | undefined;
  #aloneTimer: NodeJS.Timeout | undefined;
  /** Connections on which the source has come again, by generation, until they are taken on. */
  readonly #waiting = new Map<number, Control>();
  /** The source may have handed the VM over, and has not said that it knows how that ended. */
  #mayAsk = false;
  #loadedAt = 0;
  /** While the guest runs, and pages come. */
  #excuse: WatchdogExcuse | undefined;
  readonly #told = new Deferred<void>();
  /** What the source was told when all of the VM was here. */
  #complete: Complete | undefined;

  constructor(
    control: Control,
    readonly id: Uint8Array,
    hooks: ReceiveHooks,
    parts = PARTS,
  ) {
    this.#control = control;
    this.#hooks = hooks;
    this.#parts = parts;
    this.#drive = new Drive<State, Event, Action>({
      first: { phase: 'waiting' },
      foresee: (state, event) => destination.stepDestination(state, event, this.#facts(false)),
      decide: (state, event) => this.#decide(state, event),
      isEnd: destination.isEnd,
      deadlines: DEADLINES,
      tooLate,
      failure,
      act: (action, turn) => this.#act(action, turn),
      giveBack,
    });
    this.#meter = new MemoryMeter(() => bytesOfPages(this.#arrival?.channels.sum('installed') ?? 0));
    this.#listen(control, 0);
  }

  /** The source has come again, on a connection of a later generation; also when the hand-over is over. */
  meet(control: Control, generation: number): void {
    // The source itself has given it up for a later one.
    if (generation <= this.#generation) return control.close();
    this.#listen(control, generation);
    this.#waiting.set(generation, control);
    this.#drive.push({ type: 'met', generation });
    // Where it is not taken on, how the hand-over ended is the answer.
    void this.outcome.then((outcome) => this.#waiting.delete(generation) && this.#answer(control, outcome));
  }

  #listen(control: Control, generation: number): void {
    control.on('message', (message) => {
      if (message.type === 'output') {
        return harmlessly('remembering the output of consoles', () => this.#hooks.onOutput(message.body));
      }
      if (message.type === 'bye' || message.type === 'abort') this.#sourceKnows();
      this.#drive.push({ ...eventOf(message), generation });
    });
    control.on('broken', (reason) => this.#drive.push({ ...failure(reason), generation }));
  }

  #sourceKnows(): void {
    this.#mayAsk = false;
    this.#told.resolve();
  }

  /** Of a hand-over that is over; the source answers with BYE. */
  #answer(control: Control, outcome: ReceiveOutcome): void {
    control.on('message', ({ type }) => type === 'bye' && control.close());
    control.send('standing', standingOf(outcome));
  }

  get outcome(): Promise<ReceiveOutcome> {
    return this.#done.promise;
  }

  /** Of a hand-over that is over: resolves when the source knows how it ended. */
  get told(): Promise<void> {
    return this.#mayAsk ? this.#told.promise : Promise.resolve();
  }

  get pagesMissing(): number {
    return this.#arrival?.channels.pagesMissing ?? 0;
  }

  /** The guest is over: what is missing need not come. */
  drop(): void {
    this.#drive.push({ type: 'not-needed' });
  }

  get faultsWaiting(): number {
    return this.#arrival?.channels.faultsWaiting ?? 0;
  }

  /** A page channel of this migration. False if it is not one that was agreed on. */
  attach(kind: 'urgent' | 'bulk', index: number, generation: number, socket: Socket): boolean {
    const { state } = this.#drive;
    const isAwaited = state.phase === 'accepted' || state.phase === 'running';
    return isAwaited && generation === this.#generation && state.arrival.channels.attach(kind, index, socket);
  }

  /** Gives the VM up, as if the link had broken. */
  cancel(reason: PostcopyError): void {
    this.#drive.push({ type: 'cancel', reason });
  }

  get #arrival(): Arrival | undefined {
    const { state } = this.#drive;
    return 'arrival' in state ? state.arrival : undefined;
  }

  /** What an event means depends on what other threads have done by now, not on what they have told of it. */
  #decide(state: State, event: Event): Step | Promise<Step> {
    if (state.phase === 'loaded' && event.type === 'commit') {
      return destination.stepDestination(state, takeCommit(state.arrival, event, this.#loadedAt));
    }
    const mayBeWhole = event.type === 'failure' || event.type === 'cancel' || event.type === 'met';
    if (!(state.phase === 'running' || state.phase === 'apart') || !mayBeWhole) {
      return destination.stepDestination(state, event, this.#facts(false));
    }
    const { channels } = state.arrival;
    const decide = (whole: boolean) => destination.stepDestination(state, event, this.#facts(whole));
    return event.type === 'cancel' ? decide(channels.pagesMissing === 0) : channels.becomeWhole().then(decide);
  }

  #facts(whole: boolean): destination.DestinationFacts {
    const pushed = (this.#arrival?.channels.sum('installed', 'bulk') ?? 0) > 0;
    return { whole, recovers: canRecover(this.#control.version), pushed };
  }

  async #act(action: Action, { signal, settled }: Turn): Promise<Event | undefined> {
    switch (action.type) {
      case 'check':
        return this.#check(action.hello, signal);
      case 'send-accept':
        return void this.#accept(action.arrival);
      case 'send-refuse':
        this.#control.send('refuse', { reasons: action.reasons });
        this.#control.close();
        return void this.#end({ status: 'refused', reasons: action.reasons });
      case 'expect-ram':
        return void expectRam(action);
      case 'expect-rounds':
        return void expectRounds(action.arrival);
      case 'load-state':
        await loadState(action.arrival, action.state, signal);
        return { type: 'state-loaded' };
      case 'send-loaded':
        this.#mayAsk = canRecover(this.#control.version);
        this.#loadedAt = native.monotonicMicros();
        return void this.#control.send('loaded', { afterMicros: native.monotonicMicros() - action.stateAt });
      case 'run-guest':
        return this.#runGuest(action);
      case 'send-complete':
        return void this.#sendComplete(action.arrival);
      case 'send-abort':
        return void this.#control.send('abort', { reason: describeError(action.reason) });
      case 'send-lost':
        return void this.#control.send('lost', { reason: describeError(action.reason) });
      case 'part':
        return void (await this.#part(action));
      case 'rejoin':
        return void (await this.#rejoin(action));
      case 'send-whole':
        return void this.#sendWhole(action.arrival, action.generation);
      case 'source-knows':
        clearTimeout(this.#aloneTimer);
        return void this.#control.bearLongSilence();
      case 'halt-guest':
        return void action.arrival.machine.hold();
      case 'go-on':
        return void action.arrival.machine.letGoOn();
      case 'finish':
        return void (await this.#finish(action.arrival));
      case 'call-off':
        this.#control.close();
        await settled; // a machine may just be in the making
        return void this.#end({ status: 'not-begun', reason: action.reason });
      case 'discard':
        return void (await this.#discard(action, settled));
      case 'lose':
        return void (await this.#lose(action));
    }
  }

  async #check(hello: Hello, signal: AbortSignal): Promise<Event> {
    const events: PageChannelEvents = {
      allInstalled: () => this.#pagesAreIn(),
      memoryShort: () => this.#hooks.onMemoryShort(),
      pageLost: (page) => this.#hooks.onPageLost(page),
      failed: (reason, generation) => this.#drive.push({ ...failure(reason), generation }),
    };
    const prepared = await prepare(hello, this.#hooks, this.#parts, events, signal);
    return Array.isArray(prepared) ? { type: 'objections', reasons: prepared } : { type: 'checked', arrival: prepared };
  }

  #accept({ hello, machine }: Arrival): void {
    const features = chooseFeatures(hello.features).filter((name) => name !== LOST_PAGES || marksLostPages());
    let findings: Finding[] = [];
    harmlessly('telling what was compared', () => (findings = findingsOf(hello, machine)));
    this.#control.send('accept', { features, findings });
  }

  /** A guest that does not run yet looks itself when it does. */
  #pagesAreIn(): void {
    const { phase } = this.#drive.state;
    if (phase === 'running' || phase === 'apart') this.#drive.push({ type: 'all-installed' });
  }

  #runGuest({ arrival, state, commit }: Extract<Action, { type: 'run-guest' }>): Event | undefined {
    const { machine, channels, hello } = arrival;
    const clocksAt = clocksMoment(commit, this.#control.peerOffsetMicros);
    this.#oomScore.spare();
    if (canRecover(this.#control.version)) {
      this.#aloneTimer = setTimeout(() => this.#drive.push({ type: 'alone-too-long' }), ALONE_MS);
    } else {
      this.#control.bearLongSilence();
    }
    raiseGuest(machine.vcpus);
    try {
      machine.resumeAfter({ cpu: state.cpu, devices: state.devices }, clocksAt, hello.paused);
    } catch (error) {
      return { type: 'not-run', reason: error as Error };
    }
    this.#control.send('running', { afterMicros: native.monotonicMicros() - commit.at });
    lowerMainThread();
    this.#hooks.onRunning(machine, hello);
    this.#tellProgress(arrival);
    this.#excuse = new WatchdogExcuse(machine, channels);
    return channels.pagesMissing === 0 ? { type: 'all-installed' } : undefined;
  }

  #tellProgress(arrival: Arrival): void {
    clearInterval(this.#progressTimer);
    this.#progressTimer = setInterval(() => this.#reportProgress(arrival), PROGRESS_INTERVAL_MS);
  }

  async #part({ arrival, reason }: Extract<Action, { type: 'part' }>): Promise<void> {
    clearInterval(this.#progressTimer);
    this.#control.close();
    this.#hooks.onInterrupted(reason);
    await arrival.channels.part();
  }

  async #rejoin({ arrival, generation }: Extract<Action, { type: 'rejoin' }>): Promise<void> {
    this.#takeOn(generation);
    const missing = await arrival.channels.rejoin(generation);
    this.#control.send('standing', { is: 'runs', missing: encodeRamMap(missing) });
    this.#tellProgress(arrival);
    this.#hooks.onMet();
  }

  #sendWhole(arrival: Arrival, generation: number): void {
    this.#takeOn(generation);
    this.#control.send('standing', { is: 'whole', complete: this.#complete ?? this.#settle(arrival) });
  }

  /** From here on this connection is the source. */
  #takeOn(generation: number): void {
    const control = this.#waiting.get(generation);
    if (control === undefined) throw new PostcopyError('INTERNAL', `no connection of generation ${generation}`);
    this.#waiting.delete(generation);
    this.#control.close();
    this.#control = control;
    this.#generation = generation;
  }

  #reportProgress({ channels }: Arrival): void {
    this.#meter.sample();
    harmlessly('telling the source the progress', () =>
      this.#control.send('progress', {
        pagesInstalled: channels.sum('installed'),
        faultsWaiting: channels.faultsWaiting,
      }),
    );
  }

  #sendComplete(arrival: Arrival): void {
    this.#control.send('complete', this.#complete ?? this.#settle(arrival));
  }

  /** Nothing more is needed of the source: RAM is ordinary memory. */
  #settle(arrival: Arrival): Complete {
    const { machine, channels } = arrival;
    this.#endTimers();
    lowerGuest(machine.vcpus);
    // A worker may still install a page that nobody needs, up to the end of the channels.
    if (channels.pagesMissing === 0) channels.unregister();
    this.#reportProgress(arrival);
    const waits = channels.waits();
    this.#complete = {
      faultWaitUs: waits.summary(),
      vcpuBlockedMs: waits.sum / 1000,
      peakBytes: this.#meter.peak,
      overheadBytes: this.#meter.overhead,
    };
    return this.#complete;
  }

  async #finish(arrival: Arrival): Promise<void> {
    const { machine, channels, hello } = arrival;
    const complete = this.#complete ?? this.#settle(arrival);
    try {
      this.#control.close();
      await channels.letGo();
      machine.comingPages = undefined;
    } finally {
      this.#end({ status: 'completed', machine, hello, wholeBlocks: channels.wholeBlocks, complete });
    }
  }

  async #discard({ arrival, reason }: Extract<Action, { type: 'discard' }>, settled: Promise<void>): Promise<void> {
    const control = this.#control;
    const begun = this.#loadedAt > 0;
    try {
      // A source that the news reaches says so, and need not come again.
      if (begun) void this.told.then(() => control.close());
      await settled; // state may just be loaded into the machine
      await letGo(arrival.machine, arrival.channels);
    } finally {
      this.#end({ status: begun ? 'failed' : 'not-begun', reason });
      // Whoever sees the connection closed can come with a VM.
      if (!begun) setImmediate(() => control.close());
    }
  }

  /** vCPUs park where they can; those that wait for a page go on waiting until the machine is closed. */
  async #lose({ arrival, reason }: Extract<Action, { type: 'lose' }>): Promise<void> {
    const { machine, channels } = arrival;
    this.#endTimers();
    for (const vcpu of machine.vcpus) vcpu.requestPause();
    // The devices as well; one that waits for a page will not answer.
    machine.devices.pause(Deadline.in(STOPPED_LIMIT_MS)).catch(() => {});
    const { pagesMissing } = channels;
    try {
      this.#control.close();
      await channels.close();
    } finally {
      this.#end({ status: 'lost', reason, machine, pagesMissing });
    }
  }

  #end(outcome: ReceiveOutcome): void {
    lowerMainThread();
    this.#oomScore.restore();
    this.#endTimers();
    this.#done.resolve(outcome);
  }

  #endTimers(): void {
    clearInterval(this.#progressTimer);
    clearTimeout(this.#aloneTimer);
    this.#excuse?.end();
  }
}

/** What a source that has come again is told of a hand-over that is over. */
function standingOf(outcome: ReceiveOutcome): Standing {
  if (outcome.status === 'completed') return { is: 'whole', complete: outcome.complete };
  if (outcome.status === 'lost') return { is: 'lost', reason: describeError(outcome.reason) };
  return { is: 'never-ran' };
}

function failure(reason: Error): Event {
  return { type: 'failure', reason };
}

function tooLate(phase: destination.DestinationPhase, limitMs: number): Error {
  return new PostcopyError('MIGRATION_FAILED', `the source was silent for ${limitMs / 1000} s while ${phase}`);
}

/** A machine that was ready when the migration was over is nobody's. */
async function giveBack(event: Event): Promise<void> {
  if (event.type === 'checked') await letGo(event.arrival.machine, event.arrival.channels);
}

/** The last moment at which the VM can be given back: with ABORT, the source goes on with it. */
function takeCommit({ hello, channels }: Arrival, event: Extract<Event, { type: 'commit' }>, loadedAt: number): Event {
  const { epoch } = event.commit.body;
  // One that was read too late, because this process stood still: the source may be told that the guest is its own again.
  if (event.commit.at - loadedAt > HAND_OVER_TIMEOUT_MS * 1000) return failure(tooLate('loaded', HAND_OVER_TIMEOUT_MS));
  if (epoch !== hello.epoch) {
    return failure(new PostcopyError('BAD_PEER', `COMMIT of epoch ${epoch}; HELLO announced ${hello.epoch}`));
  }
  if (channels.handOver()) return event;
  return failure(new PostcopyError('LINK_LOST', 'the page channels broke before COMMIT'));
}

function expectRam({ arrival: { channels }, ram }: Extract<Action, { type: 'expect-ram' }>): void {
  channels.expect(decodeRamMap(ram.ramMap, channels.pages));
}

/** The source takes its time from here on, which it may where rounds were agreed on. */
function expectRounds({ channels, hello }: Arrival): void {
  if (channels.takesRounds) return;
  throw new PostcopyError('BAD_PEER', `the source sent COPYING, which is no part of ${hello.mode}`);
}

function eventOf(message: Message): Event {
  switch (message.type) {
    case 'hello':
    case 'ram':
      return message;
    case 'state':
      return { type: 'state', state: { body: message.body, at: native.monotonicMicros() } };
    case 'commit':
      return { type: 'commit', commit: { body: message.body, at: native.monotonicMicros() } };
    case 'bye':
    case 'copying':
    case 'pushing':
      return { type: message.type };
    case 'abort':
      return failure(new PostcopyError('MIGRATION_FAILED', `the source gave up: ${message.body.reason}`));
    default:
      return failure(
        new PostcopyError('BAD_PEER', `the source sent ${message.type}, which is the destination's to send`),
      );
  }
}
