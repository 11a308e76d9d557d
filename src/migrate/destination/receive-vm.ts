/**
 * Takes a VM from another host: drives the hand-over (hand-over.ts decides, this acts) on the main thread's event loop,
 * while page workers receive and install the pages.
 */
import type { MachineName } from '../../configure/machine-setting.js';
import { Deadline } from '../../basics/deadline.js';
import { describeError, PostcopyError } from '../../errors.js';
import { harmlessly } from '../../basics/harmless.js';
import { bytesOfPages, pagesFor } from '../../memory/page-size.js';
import { decodeRamMap } from '../../memory/ram-map.js';
import { native, type Socket } from '../../native.js';
import type { MachineState } from '../../machine/machine-state.js';
import { STOPPED_LIMIT_MS, type Machine } from '../../machine/machine.js';
import type { ControlConnection } from '../link/control-connection.js';
import { EventQueue } from '../hand-over/event-queue.js';
import { MemoryMeter } from '../report/memory-meter.js';
import type { Body, Hello, Message, State } from '../wire/message.js';
import { rehearseLoading } from './rehearse-loading.js';
import { ANSWER_TIMEOUT_MS, HAND_OVER_TIMEOUT_MS, PROGRESS_INTERVAL_MS } from '../wire/protocol.js';
import { lowerGuest, lowerMainThread, raiseGuest, raiseMainThread } from '../../threads/priorities.js';
import { objectionsTo, tscObjections } from './checks/check-hello.js';
import {
  isEnd,
  stepDestination,
  type DestinationAction,
  type DestinationEvent,
  type DestinationPhase,
} from '../hand-over/destination.js';
import type { PageWorker } from '../../threads/page-worker.js';
import type { WholeBlocks } from './huge-pages.js';
import { DestinationPageChannels } from './page-channels.js';
import type { DestinationJob } from './job.js';

export interface ReceiveHooks {
  /** Opens what the VM's devices need of this host; what stands against that. */
  openDevices(hello: Hello): string[];
  /** What it can be. */
  machine: MachineName;
  /** Builds the machine that the VM will live in. */
  createMachine(hello: Hello): Promise<Machine>;
  /** A page worker, started before; this VM's from now on. Called once, after the VM was found acceptable. */
  takePageWorker(): Promise<PageWorker<DestinationJob>>;
  /** The VM runs here. */
  onRunning(machine: Machine, hello: Hello): void;
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

const DEADLINES: Partial<Record<DestinationPhase, number>> = {
  checking: ANSWER_TIMEOUT_MS,
  accepted: ANSWER_TIMEOUT_MS,
  loading: HAND_OVER_TIMEOUT_MS,
  loaded: HAND_OVER_TIMEOUT_MS,
};

function failure(reason: Error): DestinationEvent {
  return { type: 'failure', reason };
}

/** One VM on its way here. */
export class ReceiveVm {
  readonly #control: ControlConnection;
  readonly #hooks: ReceiveHooks;
  readonly #events = new EventQueue<DestinationEvent>((event) => this.#handle(event));
  readonly #meter: MemoryMeter;
  readonly #done: Promise<ReceiveOutcome>;
  #finish!: (outcome: ReceiveOutcome) => void;
  #phase: DestinationPhase = 'checking';
  #preparing: Promise<void> | undefined;
  #accepted = false;
  #deadline: NodeJS.Timeout | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #hello: Hello | undefined;
  #machine: Machine | undefined;
  #channels: DestinationPageChannels | undefined;
  #state: (State & MachineState) | undefined;
  /** RAM map of pages that hold data and were not in RAM. */
  #commit: Body<'commit'> | undefined;
  #stateAt = 0;
  #commitAt = 0;
  #allInstalled = false;
  #givenUp = false;

  constructor(
    control: ControlConnection,
    readonly id: Uint8Array,
    hooks: ReceiveHooks,
  ) {
    this.#control = control;
    this.#hooks = hooks;
    this.#done = new Promise((resolve) => (this.#finish = resolve));
    this.#meter = new MemoryMeter(() => bytesOfPages(this.#channels?.sum('installed') ?? 0));
    control.on('message', (message) => this.#receive(message));
    control.on('broken', (reason) => this.#failure(reason));
    this.#enter('checking');
  }

  get outcome(): Promise<ReceiveOutcome> {
    return this.#done;
  }

  get pagesMissing(): number {
    return this.#channels?.pagesMissing ?? 0;
  }

  /** A page channel of this migration. False if it is not one that was agreed on. */
  attach(kind: 'urgent' | 'bulk', index: number, socket: Socket): boolean {
    return this.#phase === 'accepted' && (this.#channels?.attach(kind, index, socket) ?? false);
  }

  /** Gives the VM up, as if the link had broken. */
  cancel(reason: PostcopyError): void {
    this.#givenUp = true;
    this.#failure(reason);
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'hello':
        if (this.#hello !== undefined)
          return this.#failure(new PostcopyError('BAD_PEER', 'the source sent HELLO twice'));
        this.#hello = message.body;
        this.#preparing = this.#prepare(message.body);
        return;
      case 'ram':
        return this.#expectRam(message.body.ramMap);
      case 'state':
        this.#stateAt = native.monotonicMicros();
        this.#state = { ...message.body, devices: message.body.devices };
        return this.#events.push({ type: 'state' });
      case 'commit':
        this.#commitAt = native.monotonicMicros();
        this.#commit = message.body;
        return this.#events.push({ type: 'commit' });
      case 'bye':
        return this.#events.push({ type: 'bye' });
      case 'abort':
        return this.#failure(new PostcopyError('MIGRATION_FAILED', `the source gave up: ${message.body.reason}`));
      default:
        return this.#failure(
          new PostcopyError('BAD_PEER', `the source sent ${message.type}, which is the destination's to send`),
        );
    }
  }

  /** No event of the hand-over: it only saves time after the guest has stopped. */
  #expectRam(ramMap: Uint8Array): void {
    try {
      if (this.#phase !== 'accepted') throw new PostcopyError('BAD_PEER', 'the source sent RAM out of turn');
      this.#channels!.expect(decodeRamMap(ramMap, this.#channels!.pages));
    } catch (error) {
      this.#failure(error as Error);
    }
  }

  #failure(reason: Error): void {
    this.#events.push(failure(reason));
  }

  /** Checks, then makes ready everything that takes time, so that none of it is left when the guest has stopped. */
  async #prepare(hello: Hello): Promise<void> {
    raiseMainThread();
    try {
      const objections = [...(await objectionsTo(hello, this.#hooks.machine)), ...this.#hooks.openDevices(hello)];
      if (objections.length === 0) objections.push(...(await this.#build(hello)));
      this.#events.push(objections.length === 0 ? { type: 'checked' } : { type: 'objections', reasons: objections });
    } catch (error) {
      this.#events.push({ type: 'objections', reasons: [describeError(error)] });
    }
  }

  async #build(hello: Hello): Promise<string[]> {
    const machine = await this.#hooks.createMachine(hello);
    this.#machine = machine;
    const objections = tscObjections(hello.tscKhz, machine.tscKhz, machine.kind.scalesTsc());
    const { xsaveBytes } = machine;
    if (xsaveBytes !== hello.xsaveBytes) {
      objections.push(`its vCPUs have ${hello.xsaveBytes} bytes of XSAVE state; this host's ${xsaveBytes}`);
    }
    if (objections.length > 0) return objections;
    machine.setTscKhz(hello.tscKhz);
    const worker = await this.#hooks.takePageWorker();
    const pages = pagesFor(hello.memoryBytes);
    this.#channels = await DestinationPageChannels.create(machine.memory, pages, hello.bulkChannels, worker, {
      allInstalled: () => this.#pagesAreIn(),
      failed: (reason) => this.#failure(reason),
    });
    machine.comingPages = this.#channels;
    await rehearseLoading(machine);
    return [];
  }

  #pagesAreIn(): void {
    this.#allInstalled = true;
    if (this.#phase === 'running') this.#events.push({ type: 'all-installed' });
  }

  async #handle(happened: DestinationEvent): Promise<void> {
    const event = await this.#withFacts(happened);
    const step = stepDestination(this.#phase, event);
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

  /** What an event means depends on what other threads have done by now, not on what they have told of it. */
  async #withFacts(happened: DestinationEvent): Promise<DestinationEvent> {
    if (this.#phase === 'loaded' && happened.type === 'commit') return this.#takeCommit(happened);
    if (this.#phase !== 'running' || happened.type === 'all-installed') return happened;
    return { ...happened, whole: this.#givenUp ? this.pagesMissing === 0 : await this.#channels!.becomeWhole() };
  }

  /** The last moment at which the VM can be given back: with ABORT, the source goes on with it. */
  #takeCommit(commit: DestinationEvent): DestinationEvent {
    const { epoch } = this.#commit!;
    const announced = this.#hello!.epoch;
    if (epoch !== announced) {
      return failure(new PostcopyError('BAD_PEER', `COMMIT of epoch ${epoch}; HELLO announced ${announced}`));
    }
    if (this.#channels!.handOver()) return commit;
    return failure(new PostcopyError('LINK_LOST', 'the page channels broke before COMMIT'));
  }

  #enter(phase: DestinationPhase): void {
    this.#phase = phase;
    clearTimeout(this.#deadline);
    const timeout = DEADLINES[phase];
    if (timeout === undefined) return;
    this.#deadline = setTimeout(() => {
      this.#failure(
        new PostcopyError('MIGRATION_FAILED', `the source was silent for ${timeout / 1000} s while ${phase}`),
      );
    }, timeout);
  }

  async #act(action: DestinationAction): Promise<void> {
    switch (action.type) {
      case 'send-accept':
        this.#accepted = true;
        return this.#control.send('accept', {});
      case 'send-refuse':
        this.#control.send('refuse', { reasons: action.reasons });
        return this.#dropAll({ status: 'refused', reasons: action.reasons });
      case 'load-state':
        return this.#loadState();
      case 'send-loaded':
        return this.#control.send('loaded', { afterMicros: native.monotonicMicros() - this.#stateAt });
      case 'run-guest':
        return this.#runGuest();
      case 'send-complete':
        return this.#sendComplete();
      case 'send-abort':
        return this.#control.send('abort', { reason: describeError(action.reason) });
      case 'send-lost':
        return this.#control.send('lost', { reason: describeError(action.reason) });
      case 'discard':
        return this.#dropAll({ status: this.#accepted ? 'failed' : 'not-begun', reason: action.reason });
      case 'finish':
        return this.#finishWell();
      case 'lose':
        return this.#lose(action.reason);
    }
  }

  async #loadState(): Promise<void> {
    const state = this.#state!;
    if (!this.#channels!.attached)
      throw new PostcopyError('BAD_PEER', 'the source sent STATE before it opened all channels');
    const vcpus = state.cpu.vcpus.length;
    if (vcpus !== this.#machine!.cpus) {
      throw new PostcopyError('BAD_PEER', `STATE has ${vcpus} vCPUs, HELLO had ${this.#machine!.cpus}`);
    }
    this.#channels!.expect(decodeRamMap(state.ramMap, this.#channels!.pages));
    this.#channels!.install(state.firstPages, state.firstContent);
    if (this.#channels!.pagesMissing === 0) this.#allInstalled = true;
    await this.#machine!.hostDevices.takeOver();
    await this.#machine!.restore(state);
    if (this.#channels!.broken) throw new PostcopyError('LINK_LOST', 'the page channels broke while state was loaded');
    this.#events.push({ type: 'state-loaded' });
  }

  #runGuest(): void {
    const sinceClock = this.#commit!.sinceClockMicros + native.monotonicMicros() - this.#commitAt;
    this.#control.handOver();
    raiseGuest(this.#machine!.vcpus);
    this.#machine!.resumeAfter(this.#state!, sinceClock);
    this.#control.send('running', { afterMicros: native.monotonicMicros() - this.#commitAt });
    lowerMainThread();
    this.#hooks.onRunning(this.#machine!, this.#hello!);
    this.#progressTimer = setInterval(() => this.#reportProgress(), PROGRESS_INTERVAL_MS);
    if (this.#allInstalled) this.#events.push({ type: 'all-installed' });
  }

  #reportProgress(): void {
    this.#meter.sample();
    harmlessly('telling the source the progress', () =>
      this.#control.send('progress', {
        pagesInstalled: this.#channels!.sum('installed'),
        faultsWaiting: this.#channels!.faultsWaiting,
      }),
    );
  }

  #sendComplete(): void {
    clearInterval(this.#progressTimer);
    lowerGuest(this.#machine!.vcpus);
    this.#channels!.unregister();
    this.#reportProgress();
    const waits = this.#channels!.waits();
    this.#control.send('complete', {
      faultWaitUs: waits.summary(),
      vcpuBlockedMs: waits.sum / 1000,
      peakBytes: this.#meter.peak,
      overheadBytes: this.#meter.overhead,
    });
  }

  async #finishWell(): Promise<void> {
    try {
      this.#control.close();
      await this.#channels!.letGo();
      this.#machine!.comingPages = undefined;
    } finally {
      const { wholeBlocks } = this.#channels!;
      this.#settle({ status: 'completed', machine: this.#machine!, hello: this.#hello!, wholeBlocks });
    }
  }

  /** Nothing of the VM stays here. Its vCPUs have never run, so no fault of theirs can go wrong. */
  async #dropAll(outcome: ReceiveOutcome): Promise<void> {
    try {
      this.#control.close();
      await this.#preparing; // a machine may just be in the making
      await this.#machine?.close();
      await this.#channels?.letGo(); // also if a device of the machine still waits for a page
    } finally {
      this.#settle(outcome);
    }
  }

  /** vCPUs park where they can; those that wait for a page go on waiting until the machine is closed. */
  async #lose(reason: Error): Promise<void> {
    clearInterval(this.#progressTimer);
    for (const vcpu of this.#machine!.vcpus) vcpu.requestPause();
    // The devices as well; one that waits for a page will not answer.
    this.#machine!.devices.pause(Deadline.in(STOPPED_LIMIT_MS)).catch(() => {});
    const pagesMissing = this.pagesMissing;
    try {
      this.#control.close();
      await this.#channels!.close();
    } finally {
      this.#settle({ status: 'lost', reason, machine: this.#machine!, pagesMissing });
    }
  }

  #settle(outcome: ReceiveOutcome): void {
    lowerMainThread();
    clearTimeout(this.#deadline);
    clearInterval(this.#progressTimer);
    this.#finish(outcome);
  }
}
