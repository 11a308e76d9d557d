/**
 * Waits on a port for one VM: lets in one migration at a time, goes on waiting when that VM was refused, or the migration
 * failed before its source could hand it over. The source of a VM that has come, or that failed to at the last moment, may
 * have to come again to learn of that: until it knows, or for as long as an operator would look for it, the port stays open
 * for it.
 */
import { Socket as NodeSocket } from 'node:net';
import { Deferred } from '../../basics/deferred.js';
import { within } from '../../basics/within.js';
import { formatAddress } from '../../configure/address.js';
import type { Security } from '../../configure/security.js';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { ControlConnection } from '../link/control-connection.js';
import { encodeVerdict, PREAMBLE_BYTES, type Preamble, type Verdict } from '../wire/preamble.js';
import { isSpoken, type ProtocolVersion } from '../wire/protocol.js';
import type { AcceptedChannel } from '../link/accepted-channel.js';
import { Listener } from '../link/listener.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { startPageWorker } from './page-channels.js';
import type { DestinationJob } from './job.js';
import { ReceiveVm, type ReceiveHooks, type ReceiveOutcome } from './receive-vm.js';

export interface IncomingHooks extends Omit<ReceiveHooks, 'takePageWorker'> {
  /** Of every connection to here. */
  security: Security;
  onIncoming(peer: string): void;
  onRefused(reasons: string[]): void;
  /** The VM that was announced does not come; it goes on waiting. */
  onNotBegun(reason: Error): void;
  /** The VM will never run here: the source goes on with it, and needs its disks for that, before it comes to ask. */
  onNeverRan(): void;
}

export type IncomingOutcome = Exclude<ReceiveOutcome, { status: 'refused' | 'not-begun' }>;

/** What it waits with; a test hands in others. */
export interface IncomingParts {
  listen(host: string, port: number, security: Security): Pick<Listener, 'on' | 'port' | 'close'>;
  startPageWorker(): Promise<PageWorker<DestinationJob>>;
  receive(control: ControlConnection, id: Uint8Array, hooks: ReceiveHooks): Reception;
}

type Reception = Pick<
  ReceiveVm,
  'id' | 'outcome' | 'told' | 'pagesMissing' | 'faultsWaiting' | 'attach' | 'meet' | 'drop' | 'cancel'
>;

const PARTS: IncomingParts = {
  listen: (host, port, security) => new Listener(host, port, security),
  startPageWorker,
  receive: (control, id, hooks) => new ReceiveVm(control, id, hooks),
};

type State =
  | { at: 'waiting' }
  /** A VM is on its way, or has come; the port is another one's. */
  | { at: 'receiving'; vm: Reception; version: ProtocolVersion }
  /** All of the VM is here. */
  | { at: 'complete'; vm: Reception; version: ProtocolVersion };

/** How long a source may look for a hand-over that is over. */
const TELL_MS = 600_000;
/** The same where this process has nothing else to do. */
const TELL_OF_FAILURE_MS = 120_000;
/** The same where this process is asked to end. */
const LAST_WORD_MS = 5000;

export class Incoming {
  readonly #outcome = new Deferred<IncomingOutcome>();
  readonly #listener: Pick<Listener, 'on' | 'port' | 'close'>;
  readonly #hooks: IncomingHooks;
  readonly #host: string;
  readonly #parts: IncomingParts;
  #state: State = { at: 'waiting' };
  /** One that was started while nobody waits for it. */
  #pageWorker: Promise<PageWorker<DestinationJob>> | undefined;
  #stopped: Promise<void> | undefined;
  #closing = false;
  readonly #closes = new Deferred<void>();
  /** Why no other VM can come. */
  #deafness: Error | undefined;

  constructor(host: string, port: number, hooks: IncomingHooks, parts = PARTS) {
    this.#host = host;
    this.#hooks = hooks;
    this.#parts = parts;
    this.#listener = parts.listen(host, port, hooks.security);
    this.#listener.on('channel', (channel) => this.#admit(channel));
    this.#listener.on('failed', (error) => this.#deaf(error));
    this.#pageWorker = parts.startPageWorker();
    this.#pageWorker.catch(() => {}); // told when it is taken
  }

  get outcome(): Promise<IncomingOutcome> {
    return this.#outcome.promise;
  }

  /** host:port */
  get listen(): string {
    return formatAddress({ host: this.#host, port: this.#listener.port });
  }

  /** Of the VM that is on its way. */
  get pagesMissing(): number {
    return this.#state.at === 'waiting' ? 0 : this.#state.vm.pagesMissing;
  }

  get faultsWaiting(): number {
    return this.#state.at === 'waiting' ? 0 : this.#state.vm.faultsWaiting;
  }

  /** The guest is over: the rest of its pages need not come. */
  drop(): void {
    if (this.#state.at === 'receiving') this.#state.vm.drop();
  }

  /** All of the VM is here. */
  get complete(): boolean {
    return this.#state.at === 'complete';
  }

  /** Stops listening; a VM on its way is given up, as if the link had broken. `why`: what the source is told then. */
  async close(why = 'the destination was stopped'): Promise<void> {
    this.#closing = true;
    const state = this.#state;
    // A guest that has come may be over before its source knows: that would look for this end for good.
    if (state.at === 'complete') await within(state.vm.told, LAST_WORD_MS, () => {});
    this.#closes.resolve();
    if (state.at !== 'waiting') state.vm.cancel(new PostcopyError('MIGRATION_FAILED', why));
    if (state.at === 'waiting' || mayTakeAnother(await state.vm.outcome)) {
      this.#fail(new PostcopyError('MIGRATION_FAILED', 'stopped before a VM came'));
    }
    await this.#stopListening();
  }

  /** A VM that is here, or on its way, does not need the port any more; another would. */
  #deaf(error: Error): void {
    this.#deafness = new PostcopyError('INTERNAL', 'can accept no more connections', error);
    if (this.#state.at === 'waiting') this.#fail(this.#deafness);
  }

  #fail(reason: Error): void {
    this.#outcome.resolve({ status: 'failed', reason });
  }

  async #takePageWorker(): Promise<PageWorker<DestinationJob>> {
    // One that could not be started is not kept for the next VM.
    const worker = this.#pageWorker ?? this.#parts.startPageWorker();
    this.#pageWorker = undefined;
    return worker;
  }

  #stopListening(): Promise<void> {
    this.#stopped ??= this.#listener.close().then(() => this.#endPageWorker());
    return this.#stopped;
  }

  async #endPageWorker(): Promise<void> {
    await (await this.#pageWorker?.catch(() => undefined))?.end();
  }

  #admit({ preamble, socketHandle, peer }: AcceptedChannel): void {
    const socket = new native.Socket(null, socketHandle);
    const { version } = preamble;
    const verdict = this.#judge(preamble);
    // A welcome goes out first: once attached, the socket is the worker's.
    tell(socket, preamble, verdict);
    if (verdict !== 'welcome' || !isSpoken(version)) return socket.close();
    if (preamble.channel === 'control') return this.#open(socket, peer, preamble, version);
    if (!this.#attach(preamble.channel, preamble, socket)) socket.close();
  }

  #judge({ version, channel, generation, id }: Preamble): Verdict {
    if (!isSpoken(version)) return 'version';
    if (channel === 'control' && generation === 0) {
      return this.#closing || this.#state.at !== 'waiting' ? 'busy' : 'welcome';
    }
    if (this.#state.at === 'waiting' || this.#state.version !== version) return 'stranger';
    return Buffer.compare(this.#state.vm.id, id) === 0 ? 'welcome' : 'stranger';
  }

  #attach(kind: 'urgent' | 'bulk', { index, generation }: Preamble, socket: Socket): boolean {
    return this.#state.at !== 'waiting' && this.#state.vm.attach(kind, index, generation, socket);
  }

  #open(socket: Socket, peer: string, { generation, id }: Preamble, version: ProtocolVersion): void {
    const control = new ControlConnection(new NodeSocket({ fd: socket.detachFd() }), peer, version);
    if (this.#state.at !== 'waiting') return this.#state.vm.meet(control, generation);
    const vm = this.#parts.receive(control, id, { ...this.#hooks, takePageWorker: () => this.#takePageWorker() });
    this.#state = { at: 'receiving', vm, version };
    this.#hooks.onIncoming(peer);
    void vm.outcome.then((outcome) => (mayTakeAnother(outcome) ? this.#waitOn(outcome) : this.#over(outcome)));
  }

  #waitOn(outcome: Exclude<ReceiveOutcome, IncomingOutcome>): void {
    this.#state = { at: 'waiting' };
    if (this.#closing) return;
    if (outcome.status === 'refused') this.#hooks.onRefused(outcome.reasons);
    else this.#hooks.onNotBegun(outcome.reason);
    if (this.#deafness !== undefined) this.#fail(this.#deafness);
  }

  async #over(outcome: IncomingOutcome): Promise<void> {
    const state = this.#state;
    if (outcome.status === 'completed' && state.at === 'receiving') this.#state = { ...state, at: 'complete' };
    const told = state.at === 'waiting' || this.#closing ? Promise.resolve() : state.vm.told;
    if (outcome.status === 'completed') {
      this.#outcome.resolve(outcome);
      await this.#stopListeningAfter(told, TELL_MS);
    } else {
      if (outcome.status === 'failed') this.#hooks.onNeverRan();
      await this.#stopListeningAfter(told, TELL_OF_FAILURE_MS);
      this.#outcome.resolve(outcome);
    }
  }

  async #stopListeningAfter(told: Promise<void>, limitMs: number): Promise<void> {
    await within(Promise.race([told, this.#closes.promise]), limitMs, () => {});
    await this.#stopListening();
  }
}

function tell(socket: Socket, preamble: Preamble, verdict: Verdict): void {
  try {
    socket.send(encodeVerdict(preamble, verdict), 0, PREAMBLE_BYTES);
  } catch {
    // It is gone already; its other channels will tell.
  }
}

function mayTakeAnother(outcome: ReceiveOutcome): outcome is Exclude<ReceiveOutcome, IncomingOutcome> {
  return outcome.status === 'refused' || outcome.status === 'not-begun';
}
