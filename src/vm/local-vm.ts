/**
 * A VM that lives in this process, through its states: booted here, or received from another host; reset, paused, sent on
 * to a third, ended.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { MachineName } from '../configure/machine-setting.js';
import type { VmConfig } from '../configure/vm-config.js';
import {
  STOP_TIMEOUT_MS,
  type MigrateRequest,
  type ResumeRequest,
  type StopRequest,
  type VmEnd,
  type VmService,
  type VmState,
  type VmStatus,
} from './service.js';
import type { ConsolePort } from '../console/console-port.js';
import type { MigrationProgress, MigrationSummary } from '../migrate/report/summary.js';
import { describeError, factsOf, PostcopyError, type ErrorCode, type Fact, type Problem } from '../errors.js';
import { harmlessly } from '../basics/harmless.js';
import { Incoming, type IncomingOutcome } from '../migrate/destination/incoming.js';
import type { Hello } from '../migrate/wire/message.js';
import { rehearseCodec } from '../migrate/wire/rehearse-codec.js';
import { SendVm } from '../migrate/source/send-vm.js';
import { native } from '../native.js';
import { VERSION } from '../version.js';
import { awaitedText, notAwaitedText, type AwaitedEnd } from './awaited-end.js';
import { bootMachine, type BootPlan } from '../machine/boot-machine.js';
import { openLines, type Consoles } from '../machine/console-lines.js';
import { DeviceLink } from '../machine/device-link.js';
import { Doubt } from './doubt.js';
import { watchGuest } from '../machine/guest-events.js';
import type { WhoUses } from '../host/disk-errors.js';
import { HostDevices, requireSameDevices } from '../host/host-devices.js';
import { HugePagesAgain } from './huge-pages-again.js';
import { localDevices, type DeviceOverrides } from '../host/local-devices.js';
import { Machine, MACHINE_KINDS } from '../machine/machine.js';
import { heldProblem, inDoubtProblem, lostWhileArriving, lostWhileLeaving } from './migration-problems.js';
import { ReadyToSend } from './ready-to-send.js';
import { requireReaction, shutDown } from './shut-down.js';
import { helloOf, recordOfBoot, recordOfHello, type VmRecord } from './vm-record.js';

/** Told to the operator while the VM lives: resets, moves. */
export type Notice = (text: string, facts?: readonly Fact[]) => void;

const PREPARE_AFTER_MS = 5000;
/** A migration that cannot even be cancelled waits for a disk, or for the other host to let go of one. */
const CANCEL_WAIT_MS = 5000;
/** A guest may reset itself with many requests to a slow disk in flight. */
const RESET_WAIT_MS = 30_000;

const POWERED_OFF = 'the guest powered itself off';

export class LocalVm implements VmService {
  /** Resolves once, when the VM is over here; never rejects. All its resources are released by then. */
  readonly ended: Promise<VmEnd>;
  readonly notice: Notice;
  readonly #startedAt = native.monotonicMicros();
  #settleEnded!: (end: VmEnd) => void;
  #ending = false;
  #state: VmState = 'waiting';
  #problem: Problem | undefined;
  #peer: string | undefined;
  #machine: Machine | undefined;
  #hostDevices: HostDevices | undefined;
  /** A device worker that waits for the machine that comes. */
  #idleDevices: DeviceLink | undefined;
  #record: VmRecord | undefined;
  #incoming: Incoming | undefined;
  #pausing: Promise<void> | undefined;
  /** Paused because a migration failed and another host had a disk: what to say of that. */
  #held: Problem | undefined;
  readonly #doubt = new Doubt();
  /** The guest is over, and its pages still arrive. */
  #awaited: AwaitedEnd | undefined;
  /** Between two machines. */
  #restarting = false;
  #sending: SendVm | undefined;
  readonly #hugePages = new HugePagesAgain();
  readonly #readyToSend = new ReadyToSend();

  constructor(
    readonly name: string,
    readonly machine: MachineName,
    readonly consoles: Consoles,
    notice: Notice,
    readonly whoUses: WhoUses,
  ) {
    this.notice = (text, facts) => harmlessly('a notice', () => notice(text, facts));
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
  }

  /** Throws with nothing left behind. */
  async start(config: VmConfig): Promise<void> {
    const hostDevices = HostDevices.open(config, this.whoUses);
    this.#hostDevices = hostDevices;
    try {
      await this.#boot({ ...config }, config.reboot);
    } catch (error) {
      this.#closeHostDevices();
      throw error;
    }
  }

  async #boot(plan: BootPlan, reboot: boolean): Promise<void> {
    // At a reset they are locked already, unless a migration that failed has just lost them to another host.
    await this.#hostDevices!.disks.lock();
    this.#held = undefined;
    const booted = await bootMachine(plan, () => openLines(this.consoles), this.#hostDevices!);
    const { machine } = booted;
    if (this.#ending) {
      await machine.close();
      return;
    }
    machine.devices.allowRelease();
    this.#record = recordOfBoot(plan, reboot, booted, this.#record?.epoch ?? 0);
    this.#adopt(machine);
    this.#state = 'running';
    machine.resume();
    this.#readyToSend.prepare();
  }

  /** Waits for one. */
  receive(host: string, port: number, overrides: DeviceOverrides): void {
    rehearseCodec();
    let refusal: unknown;
    const incoming = new Incoming(host, port, {
      machine: this.machine,
      createMachine: (hello) => {
        const shape = { memoryBytes: hello.memoryBytes, cpuid: hello.cpuid };
        const devices = this.#idleDevices;
        this.#idleDevices = undefined;
        return Machine.create(
          MACHINE_KINDS[this.machine],
          shape,
          openLines(this.consoles),
          this.#hostDevices!,
          devices,
        );
      },
      openDevices: (hello) => {
        refusal = this.#openDevices(hello, overrides);
        return refusal === undefined ? [] : [describeError(refusal)];
      },
      onIncoming: (peer) => {
        refusal = undefined;
        this.#state = 'incoming';
        this.#peer = peer;
      },
      onRefused: (reasons) => {
        this.#backToWaiting();
        this.notice(`refused a VM from ${this.#peer}: ${reasons.join('; ')}`, factsOf(refusal));
      },
      onNotBegun: (reason) => {
        this.#backToWaiting();
        this.notice(`no VM came from ${this.#peer}: ${describeError(reason)}; still waiting for one`);
      },
      onRunning: (machine, hello) => this.#arrived(machine, hello),
    });
    this.#incoming = incoming;
    this.#idleDevices = new DeviceLink();
    void incoming.outcome.then((outcome) => this.#afterIncoming(outcome));
  }

  #afterIncoming(outcome: IncomingOutcome): void {
    // One that failed as it was to go on had not been told of.
    if (outcome.status === 'lost') this.#machine ??= outcome.machine;
    if (outcome.status === 'completed') {
      this.notice(`all of the VM has arrived from ${this.#peer}`);
      outcome.machine.devices.allowRelease();
      if (!this.#ending && this.#awaited === undefined)
        this.#hugePages.begin(outcome.machine.memory, outcome.wholeBlocks);
      // Not at once: a guest that has just come has use for the CPU.
      setTimeout(() => {
        if (!this.#ending) this.#readyToSend.prepare();
      }, PREPARE_AFTER_MS).unref();
    } else if (outcome.status === 'failed') {
      void this.#fail('MIGRATION_FAILED', `no VM came: ${describeError(outcome.reason)}`, factsOf(outcome.reason));
    } else if (this.#awaited !== undefined) {
      if (!this.#ending) this.notice(notAwaitedText(this.#awaited, outcome.pagesMissing, this.#peer, outcome.reason));
    } else {
      this.#linkLost(lostWhileArriving(this.name, this.#peer, outcome.pagesMissing, outcome.reason));
    }
  }

  #arrived(machine: Machine, hello: Hello): void {
    this.#record = recordOfHello(hello);
    this.#adopt(machine);
    this.#state = 'running';
    this.notice(`the VM has come from ${this.#peer} and runs here`);
  }

  #adopt(machine: Machine): void {
    this.#machine = machine;
    watchGuest(machine, {
      notice: this.notice,
      powerOff: () => void this.#afterArrival({ what: POWERED_OFF, again: false }, () => this.#powerOff()),
      reset: (source) => {
        const end = { what: `the guest reset itself (${source})`, again: this.#record!.reboot };
        void this.#afterArrival(end, () => this.#reset(source));
      },
      guestFailed: (why) => {
        if (this.#ending) return;
        const text = why();
        const [what] = text.split('\n'); // without its registers
        void this.#afterArrival({ what: what!, again: false }, () => this.#fail('GUEST_FAILED', text));
      },
      machineFailed: (code, text) => void this.#fail(code, text),
    });
  }

  /**
   * What ends or rebuilds a machine waits until all of its pages are here, or will never be: page workers write into its
   * RAM. The guest, which has no use for them, stands still meanwhile.
   */
  async #afterArrival(end: AwaitedEnd, action: () => Promise<void>): Promise<void> {
    if (this.#arriving) this.#await(end);
    const outcome = await this.#incoming?.outcome;
    if (outcome?.status === 'lost') {
      // One that was halted before it is the operator's.
      if (this.#awaited === undefined) return;
      this.#incoming = undefined; // what comes now is no part of that VM
    }
    this.#awaited = undefined;
    await action();
  }

  #await(end: AwaitedEnd): void {
    this.#awaited = end;
    this.#state = 'ending';
    this.notice(this.#awaitedNow!);
  }

  get #arriving(): boolean {
    return this.#incoming !== undefined && !this.#incoming.complete && !this.#isAway && !this.#ending;
  }

  get #awaitedNow(): string | undefined {
    return this.#awaited && awaitedText(this.#awaited, this.#incoming!.pagesMissing, this.#peer);
  }

  async #powerOff(): Promise<void> {
    await this.#cancelSending(POWERED_OFF);
    await this.#end({ reason: 'power-off', message: POWERED_OFF });
  }

  async #reset(source: string): Promise<void> {
    if (this.#ending) return;
    this.#hugePages.stop();
    await this.#cancelSending('the guest reset itself');
    const { plan, reboot } = this.#record!;
    if (!reboot) {
      return this.#end({ reason: 'reset', message: `the guest asked for a reset (${source})` });
    }
    this.notice(`the guest asked for a reset (${source}): it starts again`);
    this.#restarting = true;
    try {
      const closed = (await this.#machine?.close(RESET_WAIT_MS)) ?? true;
      // Two device workers on one disk would take each other's requests for their own.
      if (!closed) {
        throw new PostcopyError('INTERNAL', 'its devices still wait for a disk of this host, or its vCPUs for a page');
      }
      if (!this.#ending) await this.#boot(plan, reboot);
    } catch (error) {
      await this.#fail('INTERNAL', `the guest could not be started again: ${describeError(error)}`, factsOf(error));
    } finally {
      this.#restarting = false;
    }
  }

  async #cancelSending(why: string): Promise<void> {
    const sending = this.#sending;
    if (sending === undefined) return;
    sending.cancel(new PostcopyError('MIGRATION_FAILED', why));
    await sending.outcome;
  }

  /** What is in the way of opening what the VM that comes needs of this host; undefined if nothing is. */
  #openDevices(hello: Hello, overrides: DeviceOverrides): unknown {
    try {
      this.#hostDevices = HostDevices.open(localDevices(hello.devices, overrides), this.whoUses);
      requireSameDevices(hello.devices, this.#hostDevices.descriptions());
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #backToWaiting(): void {
    this.#state = 'waiting';
    this.#closeHostDevices();
  }

  #closeHostDevices(): void {
    this.#hostDevices?.close();
    this.#hostDevices = undefined;
  }

  status(): VmStatus {
    const migration = this.#sending?.progress();
    return {
      name: this.name,
      pid: process.pid,
      version: VERSION,
      machine: this.machine,
      state: this.#state,
      ...problemFields(this.#problem),
      ...(this.#awaited === undefined ? {} : { awaits: this.#awaitedNow }),
      memoryBytes: this.#record?.plan.memoryBytes ?? 0,
      cpus: this.#record?.plan.cpus ?? 0,
      uptimeMs: (native.monotonicMicros() - this.#startedAt) / 1000,
      ...(this.#incoming === undefined ? {} : { listen: this.#incoming.listen }),
      ...(this.#peer === undefined ? {} : { peer: this.#peer }),
      ...(migration === undefined ? {} : { migration }),
      ...{ disks: [], nets: [], ...this.#hostDevices?.status() },
    };
  }

  async pause(): Promise<void> {
    if (this.#state === 'paused') return;
    this.#require('running', 'paused');
    // vCPUs take their time to park, perhaps for a page; nothing else may begin meanwhile.
    this.#pausing ??= this.#park().finally(() => (this.#pausing = undefined));
    await this.#pausing;
    // It may have come to its end on the way there.
    if (this.#awaited !== undefined) this.#require('paused', 'paused');
  }

  async #park(): Promise<void> {
    await this.#machine!.pause();
    if (this.#state === 'running') this.#state = 'paused';
  }

  async resume({ force = false }: ResumeRequest = {}): Promise<void> {
    await this.#pausing;
    if (this.#state === 'running') return;
    if (force && this.#state === 'link-lost') return this.#goOnInDoubt();
    this.#require('paused', 'resumed');
    if (this.#held !== undefined) {
      // Another host had a disk, and may have written to it.
      await this.#takeDisksBack();
      await this.#machine!.goOn();
    } else {
      this.#machine!.resume();
    }
    this.#held = undefined;
    this.#problem = undefined;
    this.#state = 'running';
  }

  /** By force: the other host may have run it, and somebody answers for it that it has not. */
  async #goOnInDoubt(): Promise<void> {
    await this.#doubt.settle(this.name, this.#machine!, this.#hostDevices!, () => this.#ending);
    if (this.#state !== 'link-lost') return; // another request was for the same
    this.#record!.epoch++; // that of the last one is over
    this.#problem = undefined;
    this.#state = 'running';
    this.notice(`${this.name} goes on here: ${this.#peer} has not run it`);
    this.#peer = undefined;
    this.#readyToSend.prepare();
  }

  async #takeDisksBack(): Promise<void> {
    try {
      await this.#hostDevices!.takeOver();
    } catch (error) {
      const code = error instanceof PostcopyError ? error.code : 'INTERNAL';
      const { text, facts } = heldProblem(this.name, error);
      throw new PostcopyError(code, text, undefined, facts);
    }
    this.notice(`${this.name} goes on with disks that another host has had`);
  }

  async stop({ force = false, timeoutMs = STOP_TIMEOUT_MS }: StopRequest = {}): Promise<void> {
    this.#requireOurs();
    // Where none has come yet there is no guest to ask.
    if (force || this.#state === 'waiting') return this.#cutPower();
    await this.#pausing;
    requireReaction(this.name, this.#state, this.#peer);
    if (this.#awaited !== undefined) return this.#stopAwaited(timeoutMs);
    await shutDown({ name: this.name, ended: this.ended, timeoutMs, press: () => this.#pressPowerButton() });
  }

  /** The guest reacts to nothing any more. */
  async #stopAwaited(timeoutMs: number): Promise<void> {
    const refusal = (advice = ''): PostcopyError => {
      const text = `${this.#awaitedNow}; its power can be cut, without them${advice}`;
      return new PostcopyError('WRONG_STATE', text, undefined, [{ kind: 'can-be-cut', name: this.name }]);
    };
    if (this.#awaited!.again) throw refusal(', or try again then');
    const over = await Promise.race([this.ended, delay(timeoutMs, undefined, { ref: false })]);
    if (over === undefined) throw refusal();
    if (over.code !== undefined) throw new PostcopyError(over.code, over.message, undefined, over.facts);
  }

  async #cutPower(): Promise<void> {
    await Promise.race([this.#cancelSending('the VM was stopped'), delay(CANCEL_WAIT_MS, undefined, { ref: false })]);
    this.#requireOurs(); // which it was a moment ago
    setImmediate(() => void this.#end({ reason: 'stopped', message: `${this.name} was stopped` }));
  }

  #requireOurs(): void {
    if (this.#state !== 'handed-over') return;
    throw new PostcopyError(
      'WRONG_STATE',
      `${this.name} runs at ${this.#peer}, which still pulls its memory from here: to end this process now would destroy it`,
    );
  }

  async #pressPowerButton(): Promise<void> {
    // One that ends already needs no push.
    if (!this.#ending) await this.#machine!.devices.pressPowerButton();
  }

  attachConsole(stream: Duplex, port: ConsolePort): void {
    this.consoles[port].addConsole(stream);
  }

  async migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    // Without a turn of the event loop in between if nobody pauses it: a pause might begin there.
    if (this.#pausing !== undefined) await this.#pausing;
    this.#require('running', 'migrated');
    if (this.#incoming !== undefined && !this.#incoming.complete) {
      throw new PostcopyError(
        'WRONG_STATE',
        `${this.name} is still arriving from ${this.#peer}: wait until all of it is here`,
      );
    }
    const peer = `${request.host}:${request.port}`;
    this.#hugePages.stop();
    this.#sending = new SendVm({
      machine: this.#machine!,
      hello: helloOf(this.name, this.#record!, this.#machine!, this.#hostDevices!.descriptions()),
      pageWorker: this.#readyToSend.takePageWorker(),
      ...request,
      onProgress,
      onCommit: () => {
        this.#state = 'handed-over';
        this.#peer = peer;
      },
      onHeld: (reason) => {
        this.#held = heldProblem(this.name, reason);
        this.notice(this.#held.text, this.#held.facts);
      },
    });
    this.#state = 'migrating';
    this.#problem = undefined;
    const summary = await this.#sending.run();
    this.#sending = undefined;
    this.#afterSending(summary, peer);
    return summary;
  }

  #afterSending(summary: MigrationSummary, peer: string): void {
    const reason = summary.error?.message;
    const facts = summary.error?.facts ?? [];
    if (summary.status === 'completed') {
      this.#state = 'migrated';
      setImmediate(() => void this.#end({ reason: 'migrated', message: `${this.name} has moved to ${peer}` }));
    } else if (summary.status === 'link-lost') {
      this.#doubt.linkLost(summary.inDoubt === true);
      const problemOf = this.#doubt.mayGoOn ? inDoubtProblem : lostWhileLeaving;
      this.#linkLost(problemOf(this.name, peer, reason));
    } else if (!this.#ending) {
      this.#state = this.#held === undefined ? 'running' : 'paused';
      this.#problem = this.#held ?? (reason === undefined ? undefined : { text: reason, facts });
      this.#readyToSend.prepare();
      this.notice(`the migration to ${peer} failed, the VM is ${this.#state} here: ${reason}`, facts);
    }
  }

  #require(state: VmState, wish: string): void {
    if (this.#restarting) {
      throw new PostcopyError('WRONG_STATE', `the guest of ${this.name} is just starting again: try again in a moment`);
    }
    if (this.#state === state) return;
    if (this.#awaited !== undefined) {
      throw new PostcopyError('WRONG_STATE', `${this.name} cannot be ${wish}: ${this.#awaitedNow}`);
    }
    throw new PostcopyError('WRONG_STATE', `${this.name} is ${this.#state}: only a VM that is ${state} can be ${wish}`);
  }

  #linkLost(problem: Problem): void {
    this.#state = 'link-lost';
    this.#problem = problem;
    this.notice(problem.text, problem.facts);
  }

  async #fail(code: ErrorCode, message: string, facts: Fact[] = []): Promise<void> {
    if (!this.#isAway) await this.#cancelSending(message);
    if (this.#isAway) {
      // This process holds what may be the only copy of the VM's memory: whatever happens to its machine, it stays.
      this.#problem = { text: message, facts };
      this.#doubt.machineFailed(message);
      return this.notice(message, facts);
    }
    await this.#end({ reason: 'failed', message, code, ...(facts.length === 0 ? {} : { facts }) });
  }

  get #isAway(): boolean {
    return this.#state === 'handed-over' || this.#state === 'link-lost';
  }

  async #end(end: VmEnd): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#hugePages.stop();
    this.#state = end.reason === 'failed' ? 'failed' : end.reason === 'migrated' ? 'migrated' : 'stopped';
    await this.#incoming?.close(this.#awaited && `${this.#awaited.what} there, and the destination was stopped`);
    await this.#idleDevices?.close();
    await this.#readyToSend.end();
    const closed = (await this.#machine?.close()) ?? true;
    this.#closeHostDevices();
    this.#settleEnded({ ...end, stuck: !closed });
  }
}

function problemFields(problem: Problem | undefined): Pick<VmStatus, 'problem' | 'facts'> {
  if (problem === undefined) return {};
  return { problem: problem.text, ...(problem.facts.length === 0 ? {} : { facts: problem.facts }) };
}
