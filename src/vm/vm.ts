/**
 * A VM that lives in this process: booted here, or received from another host; reset, paused, sent on to a third, ended.
 * life.ts and requests.ts decide, this carries it out.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { formatAddress } from '../configure/address.js';
import { Deadline } from '../basics/deadline.js';
import type { MachineName } from '../configure/machine-setting.js';
import type { VmConfig } from '../configure/vm-config.js';
import { processRights } from '../confine/process-rights.js';
import type { ConsolePort } from '../console/console-port.js';
import { MovingOutput } from '../console/moving-output.js';
import { describeError, factsOf, PostcopyError } from '../errors.js';
import type { WhoUses } from '../host/disk-errors.js';
import { promiseToBoot } from '../host/guest-memory.js';
import { HostDevices } from '../host/host-devices.js';
import type { DeviceOverrides } from '../host/local-devices.js';
import { bootMachine, type BootPlan } from '../machine/boot-machine.js';
import { openLines, type Consoles } from '../machine/console-lines.js';
import { watchGuest } from '../machine/guest-events.js';
import { giveBackHugePages, type WholeBlocks } from '../migrate/destination/huge-pages.js';
import type { IncomingOutcome } from '../migrate/destination/incoming.js';
import type { MigrationSummary } from '../migrate/report/summary.js';
import { roundsGoalOf } from '../migrate/source/next-round.js';
import { watchOf } from '../migrate/source/write-watch.js';
import { SendVm, type SendInterruption } from '../migrate/source/send-vm.js';
import { native } from '../native.js';
import type { MigrationPhase, MigrationProgress } from '../watch/events.js';
import { NoticeLimit } from '../watch/notice-limit.js';
import { EventStream } from '../watch/stream.js';
import { Arrival } from './arrival.js';
import { diskProblem } from './disk-problem.js';
import { guestOf, hostDevicesOf, lifeOf } from './holdings.js';
import type { Action, Address, Departure, Event, Guest, Holdings, Living, Order, State, Step } from './holdings.js';
import { step, type SendResult } from './life.js';
import { heldProblem, interruptedAtDestination, interruptedAtSource, pagesLostAtSource } from './migration-problems.js';
import { failed, failure, lostByForce, poweredOff, resetItself, stoppedByForce } from './over.js';
import { MeasureWrites } from './measure-writes.js';
import { ReadyToSend } from './ready-to-send.js';
import { CANCELLED, refusalError, noStopError } from './refusals.js';
import { ask, type Request } from './requests.js';
import {
  MEASURE_SECONDS,
  STOP_TIMEOUT_MS,
  type LimitRequest,
  type MeasureRequest,
  type MigrateRequest,
  type ResumeRequest,
  type StopRequest,
  type VmEnd,
  type VmService,
  type VmStatus,
  type WriteMeasure,
} from './service.js';
import { shutDown } from './shut-down.js';
import { isLost, statusOf } from './status.js';
import { toldOf } from './tell.js';
import { settleSecurity, type Security } from '../configure/security.js';
import { checkLimit, checkMigrateOptions } from '../migrate/options.js';
import { helloOf, recordOfBoot, recordOfHello } from './vm-record.js';

const MEMORY_SHORT =
  'this host has no memory for pages of the VM that comes: whatever needs them waits until there is some; free some here';

const PREPARE_AFTER_MS = 5000;
/** A migration that cannot even be cancelled waits for a disk, or for the other host to let go of one. */
const CANCEL_WAIT_MS = 5000;
/** A guest may reset itself with many requests to a slow disk in flight. */
const RESET_WAIT_MS = 30_000;

export class Vm implements VmService {
  readonly events: EventStream;
  /** Resolves once, when the VM is over here; never rejects. All its resources are released by then. */
  readonly ended: Promise<VmEnd>;
  readonly #startedAt = native.monotonicMicros();
  readonly #readyToSend = new ReadyToSend();
  #state: State = { type: 'starting' };
  /** Told when the state has changed. */
  readonly #waiting: (() => void)[] = [];
  /** Migrations that have not begun. */
  readonly #waitingToLeave = new Set<AbortController>();
  /** Called in each new state. */
  readonly #watching = new Set<() => void>();
  #measuring: MeasureWrites | undefined;
  #settleEnded: (end: VmEnd) => void = () => {};
  /** It may stay open for a source that has to come again, also when the VM is all here. */
  #arrival: Arrival | undefined;
  readonly #lostNotices = new NoticeLimit();

  constructor(
    readonly name: string,
    readonly machine: MachineName,
    readonly consoles: Consoles,
    readonly whoUses: WhoUses,
  ) {
    this.events = new EventStream(name);
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
  }

  /** Throws with nothing left behind. */
  async start(config: VmConfig): Promise<void> {
    const warn = (text: string): void => this.events.publish({ type: 'problem', text });
    const memory = await promiseToBoot(config.memoryBytes, warn);
    const hostDevices = HostDevices.open(config, this.whoUses, memory);
    try {
      await this.#boot(config, config.reboot, hostDevices);
    } catch (error) {
      hostDevices.close();
      throw error;
    }
  }

  /** Waits for a VM. Throws with nothing left behind. */
  receive(host: string, port: number, security: Security, overrides: DeviceOverrides): void {
    const options = { ...overrides, machine: this.machine, host, port, security, whoUses: this.whoUses };
    const arrival = new Arrival(options, this.consoles, {
      announced: (peer) => this.#happened({ type: 'announced', peer }),
      notTaken: (reasons, refused, facts) => this.#happened({ type: 'not-taken', reasons, refused, facts }),
      running: (machine, hello) => {
        const { peer, listen } = arrival;
        this.#arrived({ machine, record: recordOfHello(hello), from: { peer, listen } }, hello.paused);
        for (const text of machine.hostDevices.nets.silent()) this.events.publish({ type: 'problem', text });
      },
      pageLost: (page) => this.#cameLost(page),
      memoryShort: () => this.events.publish({ type: 'problem', text: MEMORY_SHORT }),
      interrupted: (reason) => this.#linkOfArrival(arrival, reason),
      over: (outcome) => this.#arrivalIsOver(arrival.peer, outcome),
    });
    this.#arrival = arrival;
    this.#happened({ type: 'listens', arrival });
  }

  status(): VmStatus {
    const uptimeMs = (native.monotonicMicros() - this.#startedAt) / 1000;
    return statusOf({ name: this.name, machine: this.machine, uptimeMs, rights: processRights() }, this.#state);
  }

  async pause(): Promise<void> {
    await this.#ask({ type: 'pause' });
  }

  async resume({ force = false }: ResumeRequest = {}): Promise<void> {
    await this.#ask({ type: 'resume', force, now: native.monotonicMicros() });
  }

  async stop({ force = false, timeoutMs = STOP_TIMEOUT_MS }: StopRequest = {}): Promise<void> {
    const over = force && isLost(this.#state) ? lostByForce(this.name) : stoppedByForce(this.name);
    const state = await this.#ask({ type: 'stop', force, over });
    if (force || (state.type === 'ended' && state.end.reason === 'stopped')) return;
    if (state.type === 'ending') return this.#awaitEnd(state, timeoutMs);
    await shutDown({ name: this.name, ended: this.ended, timeoutMs, press: () => this.#pressPowerButton() });
  }

  migrate(request: MigrateRequest, onProgress: (progress: MigrationProgress) => void): Promise<MigrationSummary> {
    return new Promise((answer, reject) => {
      const { host, port, plain, key, tls, trace, ...given } = request;
      const security = settleSecurity({ plain, key, tls }, host);
      const options = checkMigrateOptions(given);
      const order = { host, port, security, options, trace, onProgress, answer };
      const waiting = new AbortController();
      this.#waitingToLeave.add(waiting);
      const leave = () => this.#ask({ type: 'migrate', order, wait: options.wait }, waiting.signal);
      (this.#measuring === undefined ? leave() : this.#endMeasuring().then(leave))
        .finally(() => this.#waitingToLeave.delete(waiting))
        .catch(reject);
    });
  }

  async cancelMigration(): Promise<void> {
    // Of those that wait for the rest of the VM none has begun.
    for (const waiting of this.#waitingToLeave) waiting.abort(new PostcopyError('MIGRATION_FAILED', CANCELLED));
    if (this.#waitingToLeave.size > 0) return this.#wake();
    const request = { type: 'cancel', why: CANCELLED } as const;
    await this.#ask(request);
    while (this.#state.type === 'leaving') await this.#changed();
    // COMMIT may have been on its way out; behind it nothing ends the migration.
    if (lifeOf(this.#state).type === 'away') {
      throw refusalError(this.name, this.#state, request.type, { reason: 'handed-over' });
    }
  }

  async limit(request: LimitRequest): Promise<void> {
    await this.#ask({ type: 'limit', bandwidth: checkLimit(request).bandwidth ?? undefined });
  }

  async measure({ seconds = MEASURE_SECONDS }: MeasureRequest = {}): Promise<WriteMeasure> {
    const guest = guestOf(await this.#ask({ type: 'measure' }));
    if (guest === undefined || this.#measuring !== undefined || this.#waitingToLeave.size > 0) {
      const why = this.#measuring === undefined ? 'is about to leave' : 'is being measured already';
      throw new PostcopyError('WRONG_STATE', `${this.name} ${why}: try again in a moment`);
    }
    const measuring = (this.#measuring = new MeasureWrites(guest.machine, seconds));
    try {
      return await measuring.run();
    } finally {
      this.#measuring = undefined;
    }
  }

  async recover(address?: Address): Promise<void> {
    await this.#ask({ type: 'recover', address });
  }

  attachConsole(stream: Duplex, port: ConsolePort): void {
    this.consoles[port].addConsole(stream);
  }

  /** The log of what a guest writes has room for one who asks. */
  async #endMeasuring(): Promise<void> {
    const why = `${this.name} was not measured to the end: it leaves, or its guest is over`;
    await this.#measuring?.end(new PostcopyError('WRONG_STATE', why));
  }

  /** Resolves when the state has changed. */
  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves to the state in which it was granted; throws what speaks against it, or `unwanted` was aborted with. */
  async #ask(request: Request<Holdings>, unwanted?: AbortSignal): Promise<State> {
    for (;;) {
      unwanted?.throwIfAborted();
      const answer = ask(this.#state, request);
      if (answer.type === 'refused') throw refusalError(this.name, this.#state, request.type, answer.refusal);
      if (answer.type === 'later') {
        await this.#changed();
        continue;
      }
      if (answer.type === 'granted') {
        await this.#take(answer.step);
        return answer.step.state;
      }
      if (await this.#comesTo(answer.until, answer.step)) return this.#state;
    }
  }

  /** Whether the VM was in that state while the step was carried out; somebody else may have led it on since. */
  async #comesTo(until: State['type'], next: Step): Promise<boolean> {
    let came = false;
    const watch = (): void => void (came ||= this.#state.type === until);
    this.#watching.add(watch);
    try {
      await this.#take(next);
    } finally {
      this.#watching.delete(watch);
    }
    return came;
  }

  #happened(event: Event): void {
    void this.#follow(event);
  }

  #follow(event: Event): Promise<void> {
    return this.#take(step(this.#state, event), event);
  }

  /** Resolves when what is to be done is done. Of a request its failure is the answer; the rest fails by an event. */
  async #take(next: Step, event?: Event): Promise<void> {
    const before = this.#state;
    this.#state = next.state;
    const work = next.actions.map(async (action) => this.#act(action));
    for (const what of toldOf(this.name, before, event, next.state)) this.events.publish(what);
    if (before !== next.state) {
      for (const watch of this.#watching) watch();
      this.#wake();
    }
    await Promise.all(work);
  }

  #act(action: Action): void | Promise<void> {
    switch (action.type) {
      case 'start':
        action.guest.machine.resume();
        return this.#prepareToSend();
      case 'discard':
        return void action.guest.machine.close();
      case 'park':
        return action.asked ? this.#park(action.guest) : this.#park(action.guest).catch(() => {});
      case 'unpark':
        return this.#unpark(action.guest);
      case 'take-disks':
        return this.#takeDisks(action.guest);
      case 'give-disks-up':
        return this.#attempt(() => action.guest.machine.hostDevices.disks.unlock());
      case 'go-on':
        return this.#goOn(action.guest);
      case 'new-epoch':
        action.guest.record.epoch++;
        return this.#prepareToSend();
      case 'restart':
        return this.#restart(action.guest);
      case 'send':
        return this.#send(action.guest, action.order, action.paused);
      case 'cancel':
        return action.send.vm.cancel(new PostcopyError('MIGRATION_FAILED', action.why));
      case 'look-again':
        return action.send.vm.recover(action.address);
      case 'limit':
        return action.send.vm.limit(action.bandwidth);
      case 'give-up':
        return this.#giveUp(action.send, action.why);
      case 'drop-rest':
        return this.#dropRest(action.guest, action.arrival);
      case 'limit-cancel':
        return this.#limitCancel(action.send, action.end);
      case 'tear-down':
        return void this.#tearDown(action.was, action.end);
    }
  }

  /** `before`: the guest that is booted again. */
  async #boot(plan: BootPlan, reboot: boolean, hostDevices: HostDevices, before?: Guest): Promise<void> {
    // At a reset they are locked already, unless a migration that failed has just lost them to another host.
    await hostDevices.disks.lock();
    const booted = await bootMachine(plan, () => openLines(this.consoles), hostDevices);
    const { machine } = booted;
    machine.devices.allowRelease();
    const guest = {
      machine,
      record: recordOfBoot(plan, reboot, booted, before?.record.epoch ?? 0),
      from: before?.from,
    };
    this.#watch(guest);
    await this.#follow({ type: 'booted', guest });
  }

  async #restart(guest: Guest): Promise<void> {
    const { machine, record } = guest;
    if (this.#measuring !== undefined) await this.#endMeasuring();
    try {
      // Two device workers on one disk would take each other's requests for their own.
      if (!(await machine.close(RESET_WAIT_MS))) {
        throw new PostcopyError('INTERNAL', 'its devices still wait for a disk of this host, or its vCPUs for a page');
      }
      if (this.#state.type !== 'restarting') return;
      await this.#boot(record.plan, record.reboot, machine.hostDevices, guest);
    } catch (error) {
      const message = `the guest could not be started again: ${describeError(error)}`;
      this.#happened({ type: 'not-booted', end: failure('INTERNAL', message, factsOf(error)) });
    }
  }

  #watch(guest: Guest): void {
    watchGuest(guest.machine, {
      notice: (text) => this.events.publish({ type: 'device', text }),
      pageLost: (text) => this.events.publish({ type: 'problem', text }),
      diskStopped: (failure) =>
        this.#happened({ type: 'disk-stopped', guest, problem: diskProblem(this.name, failure) }),
      panicked: () => this.events.publish({ type: 'guest-panicked' }),
      powerOff: () => this.#happened({ type: 'guest-over', guest, over: poweredOff() }),
      reset: (source) => this.#happened({ type: 'guest-over', guest, over: resetItself(source, guest.record.reboot) }),
      guestFailed: (why) => {
        // Its vCPU, which says why, may be gone.
        if (this.#state.type === 'ended') return;
        this.#happened({ type: 'guest-over', guest, over: failed('GUEST_FAILED', why()) });
      },
      machineFailed: (code, text) => this.#happened({ type: 'machine-failed', guest, over: failed(code, text) }),
    });
  }

  #cameLost(page: number): void {
    if (this.#lostNotices.take() < 0) return; // the status counts them all
    const text = `page ${page} of the memory of ${this.name} was lost to a memory error of the host that it comes from`;
    this.events.publish({ type: 'problem', text });
  }

  #arrived(guest: Guest, paused: boolean): void {
    this.#watch(guest);
    this.#happened({ type: 'arrived', guest, paused });
  }

  #arrivalIsOver(peer: string, outcome: IncomingOutcome): void {
    switch (outcome.status) {
      case 'completed':
        return this.#isWhole(outcome.wholeBlocks);
      case 'failed': {
        const message = `no VM came: ${describeError(outcome.reason)}`;
        return this.#happened({ type: 'not-come', end: failure('MIGRATION_FAILED', message, factsOf(outcome.reason)) });
      }
      case 'lost': {
        const { pagesMissing, reason } = outcome;
        const loss = { while: 'arriving', peer, pagesMissing, reason: describeError(reason) } as const;
        return this.#happened({ type: 'broken-off', loss });
      }
    }
  }

  #isWhole(blocks: WholeBlocks): void {
    const guest = guestOf(this.#state);
    guest?.machine.devices.allowRelease();
    this.#happened({ type: 'whole' });
    if (guest === undefined || !this.#staysHere(guest)) return;
    void giveBackHugePages(guest.machine.memory, blocks, () => !this.#staysHere(guest));
    // Not at once: a guest that has just come has use for the CPU.
    setTimeout(() => this.#prepareToSend(), PREPARE_AFTER_MS).unref();
  }

  /** It is this guest's machine still, and the guest is not on its way to another host. */
  #staysHere(guest: Guest): boolean {
    const { type } = this.#state;
    return (type === 'running' || type === 'pausing' || type === 'paused') && guestOf(this.#state) === guest;
  }

  #prepareToSend(): void {
    if (this.#state.type !== 'ended') void this.#readyToSend.prepare();
  }

  /** vCPUs take their time, perhaps for a page. */
  async #park(guest: Guest): Promise<void> {
    try {
      await guest.machine.pause();
    } catch (error) {
      this.#happened({ type: 'not-parked', guest });
      throw error;
    }
    this.#happened({ type: 'parked', guest });
  }

  /** Its disks first: a guest that goes on without them would be stopped again. */
  #unpark({ machine }: Guest): void {
    machine.devices.retry().catch(() => {}); // who has failed says so itself
    machine.resume();
  }

  /** Another host has had them, and may have written to them. */
  async #takeDisks(guest: Guest): Promise<void> {
    const { type } = this.#state;
    try {
      await guest.machine.hostDevices.takeOver();
    } catch (error) {
      this.#happened({ type: 'not-gone-on', guest });
      throw type === 'retaking' ? heldError(this.name, error) : error;
    }
    await this.#follow({ type: 'disks-taken', guest });
  }

  async #goOn(guest: Guest): Promise<void> {
    try {
      await guest.machine.goOn();
    } catch (error) {
      this.#happened({ type: 'not-gone-on', guest });
      throw error;
    }
    this.#happened({ type: 'gone-on', guest });
  }

  #send(guest: Guest, { host, port, security, options, trace, onProgress, answer }: Order, paused: boolean): void {
    const { machine, record } = guest;
    const peer = formatAddress({ host, port });
    const vm = new SendVm({
      machine,
      hello: helloOf(this.name, record, machine, machine.hostDevices.descriptions(), options, paused),
      pageWorker: this.#readyToSend.takePageWorker(),
      prefetch: options.prefetch,
      watch: watchOf(options),
      bandwidth: options.bandwidth,
      rounds: roundsGoalOf(options),
      dryRun: options.dryRun,
      trace,
      output: new MovingOutput(this.consoles),
      host,
      port,
      security,
      onProgress: this.#progressTeller(),
      onCommit: () => this.#happened({ type: 'commit', send }),
      onPagesLost: (pages, told) =>
        this.events.publish({ type: 'problem', text: pagesLostAtSource(this.name, peer, pages, told) }),
      onHeld: (reason) => this.#happened({ type: 'held', send, reason }),
      onInterrupted: (interruption) => this.#linkOfSend(send, interruption),
    });
    const unsubscribe = this.events.subscribe((it) => it.type === 'progress' && onProgress(it.progress));
    // Who waits for the migration finds the VM in the state that follows from it.
    const over = vm.run().then((summary) => {
      unsubscribe();
      this.#happened({ type: 'sent', send, result: this.#resultOf(peer, summary) });
      if (this.#staysHere(guest)) void this.#prepareToSend(); // for the next try
      return summary;
    });
    const send: Departure = { vm, peer, over };
    this.#happened({ type: 'leaves', guest, send });
    answer(over);
  }

  #progressTeller(): (progress: MigrationProgress) => void {
    let phase: MigrationPhase | undefined;
    return (progress) => {
      if (progress.phase !== phase) this.events.publish({ type: 'phase', phase: (phase = progress.phase) });
      this.events.publish({ type: 'progress', progress });
    };
  }

  #resultOf(peer: string, { status, error, inDoubt = false }: MigrationSummary): SendResult {
    const reason = error?.message ?? 'no reason given';
    if (status === 'failed') return { status, peer, reason: { text: reason, facts: error?.facts ?? [] } };
    if (status === 'link-lost') return { status, peer, reason, inDoubt };
    if (status === 'dry-run') return { status: 'tried', peer };
    return { status, peer, end: { reason: 'migrated', message: `${this.name} has moved to ${peer}` } };
  }

  async #giveUp(send: Departure, why: string): Promise<void> {
    send.vm.giveUp(new PostcopyError('LINK_LOST', why));
    await send.over;
  }

  /** Its devices finish first what they have begun: a disk must not be given zeroes for a page that has not come. */
  async #dropRest(guest: Guest, arrival: Arrival): Promise<void> {
    try {
      await guest.machine.devices.pause(Deadline.in(RESET_WAIT_MS));
      arrival.drop();
    } catch {
      // All of it is awaited, then.
    }
  }

  #linkOfArrival(arrival: Arrival, reason: string | undefined): void {
    const { peer } = arrival;
    if (reason === undefined) return this.events.publish({ type: 'met', peer });
    const text = interruptedAtDestination(this.name, peer, arrival.pagesMissing, reason);
    this.events.publish({ type: 'interrupted', peer, text });
  }

  #linkOfSend(send: Departure, interruption: SendInterruption | undefined): void {
    const { broken } = 'broken' in this.#state ? this.#state : { broken: undefined };
    this.#happened({ type: 'link', send, broken: interruption });
    if (interruption === undefined) return this.events.publish({ type: 'met', peer: send.peer });
    if (broken !== undefined) return; // it has been told
    const text = interruptedAtSource(this.name, send.peer, interruption.reason);
    this.events.publish({ type: 'interrupted', peer: send.peer, text });
  }

  async #limitCancel(send: Departure, end: VmEnd): Promise<void> {
    await Promise.race([send.over, delay(CANCEL_WAIT_MS, undefined, { ref: false })]);
    this.#happened({ type: 'cancel-late', send, end });
  }

  async #pressPowerButton(): Promise<void> {
    // One that has ended needs no push.
    if (this.#state.type !== 'ended') await guestOf(this.#state)?.machine.devices.pressPowerButton();
  }

  /** The guest is over, and reacts to nothing any more. */
  async #awaitEnd(ending: State, timeoutMs: number): Promise<void> {
    const over = await Promise.race([this.ended, delay(timeoutMs, undefined, { ref: false })]);
    if (over === undefined) throw noStopError(this.name, ending);
    if (over.code !== undefined) throw new PostcopyError(over.code, over.message, undefined, over.facts);
  }

  async #tearDown(was: Living, end: VmEnd): Promise<void> {
    await nextTurn(); // the answer to whoever has asked for it goes out first
    if (this.#measuring !== undefined) await this.#endMeasuring();
    const why = was.type === 'ending' ? `${was.over.what} there, and the destination was stopped` : undefined;
    const came = await this.#attempt(() => this.#arrival?.close(why));
    await this.#attempt(() => this.#readyToSend.end());
    const machine = guestOf(was)?.machine ?? came;
    const closed = machine === undefined || (await this.#attempt(() => machine.close())) === true;
    await nextPoll(); // the guest's last words, which its device worker has just written, are read
    await this.#attempt(() => hostDevicesOf(was)?.close());
    this.#settleEnded({ ...end, stuck: !closed });
  }

  /** One step of the end, which the others do not depend on. */
  async #attempt<T>(step: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      this.events.publish({
        type: 'problem',
        text: `not all of ${this.name} could be closed: ${describeError(error)}`,
      });
      return undefined;
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Descriptors have been looked at once more: the first turn may come before that, if one was looked at just now. */
async function nextPoll(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

function heldError(name: string, error: unknown): PostcopyError {
  const code = error instanceof PostcopyError ? error.code : 'INTERNAL';
  const { text, facts } = heldProblem(name, error);
  return new PostcopyError(code, text, undefined, facts);
}
