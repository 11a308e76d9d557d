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
import { decodeRamMap } from '../../memory/ram-map.js';
import { OomScore } from '../../host/oom-score.js';
import { native, type Socket } from '../../native.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import type { ControlConnection } from '../link/control-connection.js';
import * as destination from '../hand-over/destination.js';
import { Drive, type Turn } from '../hand-over/drive.js';
import { MemoryMeter } from '../report/memory-meter.js';
import { chooseFeatures } from '../wire/features.js';
import type { Hello, Message } from '../wire/message.js';
import { rehearseLoading } from './rehearse-loading.js';
import { ANSWER_TIMEOUT_MS, HAND_OVER_TIMEOUT_MS, PROGRESS_INTERVAL_MS } from '../wire/protocol.js';
import { lowerGuest, lowerMainThread, raiseGuest } from '../../threads/priorities.js';
import { objectionsTo } from './checks/check-hello.js';
import { clocksMoment } from './clocks-moment.js';
import type { WholeBlocks } from './huge-pages.js';
import { loadState } from './load-state.js';
import { DestinationPageChannels, type PageChannelEvents } from './page-channels.js';
import { letGo, prepare, type Arrival, type PrepareHooks, type PrepareParts } from './prepare.js';

export interface ReceiveHooks extends PrepareHooks {
  /** The VM runs here. */
  onRunning(machine: Machine, hello: Hello): void;
  /** What the guest's consoles showed at the source; before it runs here. */
  onOutput(output: ConsoleOutput): void;
  /** Pages of the VM wait for memory of this host. */
  onMemoryShort(): void;
}

export type ReceiveOutcome =
  | { status: 'completed'; machine: Machine; hello: Hello; wholeBlocks: WholeBlocks }
  /** The VM was refused; another may come. */
  | { status: 'refused'; reasons: string[] }
  /** It broke before ACCEPT, when nothing was agreed: another may come. */
  | { status: 'not-begun'; reason: Error }
  /** Before COMMIT: the guest never ran here. */
  | { status: 'failed'; reason: Error }
  /** After COMMIT: the guest stands still here, short of pages. */
  | { status: 'lost'; reason: Error; machine: Machine; pagesMissing: number };

type Control = Pick<ControlConnection, 'on' | 'send' | 'close' | 'bearLongSilence' | 'peerOffsetMicros'>;
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
  accepted: ANSWER_TIMEOUT_MS,
  loading: HAND_OVER_TIMEOUT_MS,
  loaded: HAND_OVER_TIMEOUT_MS,
};

/** One VM on its way here. */
export class ReceiveVm {
  readonly #control: Control;
  readonly #hooks: ReceiveHooks;
  readonly #parts: PrepareParts;
  readonly #drive: Drive<State, Event, Action>;
  readonly #meter: MemoryMeter;
  readonly #done = new Deferred<ReceiveOutcome>();
  readonly #oomScore = new OomScore();
  #progressTimer: NodeJS.Timeout | undefined;

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
      foresee: destination.stepDestination,
      decide: (state, event) => this.#decide(state, event),
      isEnd: destination.isEnd,
      deadlines: DEADLINES,
      tooLate,
      failure,
      act: (action, turn) => this.#act(action, turn),
      giveBack,
    });
    this.#meter = new MemoryMeter(() => bytesOfPages(this.#arrival?.channels.sum('installed') ?? 0));
    control.on('message', (message) => {
      if (message.type === 'output')
        harmlessly('remembering the output of consoles', () => hooks.onOutput(message.body));
      else this.#drive.push(eventOf(message));
    });
    control.on('broken', (reason) => this.#drive.push(failure(reason)));
  }

  get outcome(): Promise<ReceiveOutcome> {
    return this.#done.promise;
  }

  get pagesMissing(): number {
    return this.#arrival?.channels.pagesMissing ?? 0;
  }

  /** A page channel of this migration. False if it is not one that was agreed on. */
  attach(kind: 'urgent' | 'bulk', index: number, socket: Socket): boolean {
    const { state } = this.#drive;
    return state.phase === 'accepted' && state.arrival.channels.attach(kind, index, socket);
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
      return destination.stepDestination(state, takeCommit(state.arrival, event));
    }
    if (state.phase !== 'running' || event.type === 'all-installed') return destination.stepDestination(state, event);
    const { channels } = state.arrival;
    const decide = (whole: boolean) => destination.stepDestination(state, event, { whole });
    return event.type === 'cancel' ? decide(channels.pagesMissing === 0) : channels.becomeWhole().then(decide);
  }

  async #act(action: Action, { signal, settled }: Turn): Promise<Event | undefined> {
    switch (action.type) {
      case 'check':
        return this.#check(action.hello, signal);
      case 'send-accept':
        return void this.#control.send('accept', { features: chooseFeatures(action.arrival.hello.features) });
      case 'send-refuse':
        this.#control.send('refuse', { reasons: action.reasons });
        this.#control.close();
        return void this.#end({ status: 'refused', reasons: action.reasons });
      case 'expect-ram':
        return void expectRam(action);
      case 'load-state':
        await loadState(action.arrival, action.state, signal);
        return { type: 'state-loaded' };
      case 'send-loaded':
        return void this.#control.send('loaded', { afterMicros: native.monotonicMicros() - action.stateAt });
      case 'run-guest':
        return this.#runGuest(action);
      case 'send-complete':
        return void this.#sendComplete(action.arrival);
      case 'send-abort':
        return void this.#control.send('abort', { reason: describeError(action.reason) });
      case 'send-lost':
        return void this.#control.send('lost', { reason: describeError(action.reason) });
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
      failed: (reason) => this.#drive.push(failure(reason)),
    };
    const prepared = await prepare(hello, this.#hooks, this.#parts, events, signal);
    return Array.isArray(prepared) ? { type: 'objections', reasons: prepared } : { type: 'checked', arrival: prepared };
  }

  /** A guest that does not run yet looks itself when it does. */
  #pagesAreIn(): void {
    if (this.#drive.state.phase === 'running') this.#drive.push({ type: 'all-installed' });
  }

  #runGuest({ arrival, state, commit }: Extract<Action, { type: 'run-guest' }>): Event | undefined {
    const { machine, channels, hello } = arrival;
    const clocksAt = clocksMoment(commit, this.#control.peerOffsetMicros);
    this.#control.bearLongSilence();
    this.#oomScore.spare();
    raiseGuest(machine.vcpus);
    machine.resumeAfter({ cpu: state.cpu, devices: state.devices }, clocksAt);
    this.#control.send('running', { afterMicros: native.monotonicMicros() - commit.at });
    lowerMainThread();
    this.#hooks.onRunning(machine, hello);
    this.#progressTimer = setInterval(() => this.#reportProgress(arrival), PROGRESS_INTERVAL_MS);
    return channels.pagesMissing === 0 ? { type: 'all-installed' } : undefined;
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
    const { machine, channels } = arrival;
    clearInterval(this.#progressTimer);
    lowerGuest(machine.vcpus);
    channels.unregister();
    this.#reportProgress(arrival);
    const waits = channels.waits();
    this.#control.send('complete', {
      faultWaitUs: waits.summary(),
      vcpuBlockedMs: waits.sum / 1000,
      peakBytes: this.#meter.peak,
      overheadBytes: this.#meter.overhead,
    });
  }

  async #finish({ machine, channels, hello }: Arrival): Promise<void> {
    try {
      this.#control.close();
      await channels.letGo();
      machine.comingPages = undefined;
    } finally {
      this.#end({ status: 'completed', machine, hello, wholeBlocks: channels.wholeBlocks });
    }
  }

  async #discard({ arrival, reason }: Extract<Action, { type: 'discard' }>, settled: Promise<void>): Promise<void> {
    try {
      this.#control.close();
      await settled; // state may just be loaded into the machine
      await letGo(arrival.machine, arrival.channels);
    } finally {
      this.#end({ status: 'failed', reason });
    }
  }

  /** vCPUs park where they can; those that wait for a page go on waiting until the machine is closed. */
  async #lose({ arrival, reason }: Extract<Action, { type: 'lose' }>): Promise<void> {
    const { machine, channels } = arrival;
    clearInterval(this.#progressTimer);
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
    clearInterval(this.#progressTimer);
    this.#done.resolve(outcome);
  }
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
function takeCommit({ hello, channels }: Arrival, event: Extract<Event, { type: 'commit' }>): Event {
  const { epoch } = event.commit.body;
  if (epoch !== hello.epoch) {
    return failure(new PostcopyError('BAD_PEER', `COMMIT of epoch ${epoch}; HELLO announced ${hello.epoch}`));
  }
  if (channels.handOver()) return event;
  return failure(new PostcopyError('LINK_LOST', 'the page channels broke before COMMIT'));
}

function expectRam({ arrival: { channels }, ram }: Extract<Action, { type: 'expect-ram' }>): void {
  channels.expect(decodeRamMap(ram.ramMap, channels.pages));
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
      return { type: 'bye' };
    case 'abort':
      return failure(new PostcopyError('MIGRATION_FAILED', `the source gave up: ${message.body.reason}`));
    default:
      return failure(
        new PostcopyError('BAD_PEER', `the source sent ${message.type}, which is the destination's to send`),
      );
  }
}
