/**
 * Waits on a port for one VM: lets in one migration at a time, goes on waiting when that VM was refused or its source was
 * gone before anything was agreed.
 */
import { Socket as NodeSocket } from 'node:net';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { ControlConnection } from '../link/control-connection.js';
import { encodeVerdict, PREAMBLE_BYTES, type Verdict } from '../wire/preamble.js';
import { PROTOCOL_VERSION } from '../wire/protocol.js';
import type { AcceptedChannel } from '../link/accepted-channel.js';
import { Listener } from '../link/listener.js';
import type { PageWorker } from '../../threads/page-worker.js';
import { startPageWorker } from './page-channels.js';
import type { DestinationJob } from './job.js';
import { ReceiveVm, type ReceiveHooks, type ReceiveOutcome } from './receive-vm.js';

export interface IncomingHooks extends Omit<ReceiveHooks, 'takePageWorker'> {
  onIncoming(peer: string): void;
  onRefused(reasons: string[]): void;
  /** The VM that was announced does not come; it goes on waiting. */
  onNotBegun(reason: Error): void;
}

export type IncomingOutcome = Exclude<ReceiveOutcome, { status: 'refused' | 'not-begun' }>;

export class Incoming {
  readonly outcome: Promise<IncomingOutcome>;
  readonly #listener: Listener;
  readonly #hooks: IncomingHooks;
  readonly #host: string;
  /** Started while nobody waits for it. */
  #pageWorker: Promise<PageWorker<DestinationJob>> | undefined = startPageWorker();
  #settle!: (outcome: IncomingOutcome) => void;
  #current: ReceiveVm | undefined;
  #complete = false;
  #listening = true;
  #closing = false;

  constructor(host: string, port: number, hooks: IncomingHooks) {
    this.#host = host;
    this.#hooks = hooks;
    this.#listener = new Listener(host, port);
    this.#listener.on('channel', (channel) => this.#admit(channel));
    this.#listener.on('failed', (error) => this.#deaf(error));
    this.#pageWorker?.catch(() => {}); // told when it is taken
    this.outcome = new Promise((resolve) => (this.#settle = resolve));
  }

  /** host:port */
  get listen(): string {
    return `${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#listener.port}`;
  }

  /** Of the VM that is on its way. */
  get pagesMissing(): number {
    return this.#current?.pagesMissing ?? 0;
  }

  /** All of the VM is here. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Stops listening; a VM on its way is given up, as if the link had broken. `why`: what the source is told then. */
  async close(why = 'the destination was stopped'): Promise<void> {
    this.#closing = true;
    this.#current?.cancel(new PostcopyError('MIGRATION_FAILED', why));
    const outcome = await this.#current?.outcome;
    if (outcome === undefined || mayTakeAnother(outcome)) {
      this.#settle({ status: 'failed', reason: new PostcopyError('MIGRATION_FAILED', 'stopped before a VM came') });
    }
    await this.#stopListening();
  }

  /** A VM that is here, or on its way, does not need the port any more. */
  #deaf(error: Error): void {
    if (this.#current !== undefined) return;
    this.#settle({ status: 'failed', reason: new PostcopyError('INTERNAL', 'can accept no more connections', error) });
  }

  async #takePageWorker(): Promise<PageWorker<DestinationJob>> {
    const worker = await (this.#pageWorker ?? startPageWorker());
    this.#pageWorker = undefined;
    return worker;
  }

  async #stopListening(): Promise<void> {
    if (!this.#listening) return;
    this.#listening = false;
    await this.#listener.close();
    await (await this.#pageWorker)?.end();
  }

  #admit({ preamble, socketHandle, peer }: AcceptedChannel): void {
    const socket = new native.Socket(null, socketHandle);
    const answer = (verdict: Verdict) => {
      try {
        socket.send(encodeVerdict(preamble, verdict), 0, PREAMBLE_BYTES);
      } catch {
        // gone already; its other channels will tell
      }
      if (verdict !== 'welcome') socket.close();
    };
    if (preamble.version !== PROTOCOL_VERSION) return answer('version');
    if (preamble.channel === 'control') {
      if (this.#closing || this.#current !== undefined) return answer('busy');
      answer('welcome');
      return this.#begin(socket, peer, preamble.id);
    }
    const current = this.#current;
    if (current === undefined || Buffer.compare(current.id, preamble.id) !== 0) return answer('stranger');
    // The welcome goes out first: once attached, the socket is the worker's.
    answer('welcome');
    if (!current.attach(preamble.channel, preamble.index, socket)) socket.close();
  }

  #begin(socket: Socket, peer: string, id: Uint8Array): void {
    const control = new ControlConnection(new NodeSocket({ fd: socket.detachFd() }), peer);
    this.#current = new ReceiveVm(control, id, { ...this.#hooks, takePageWorker: () => this.#takePageWorker() });
    this.#hooks.onIncoming(peer);
    void this.#current.outcome.then(async (outcome) => {
      if (mayTakeAnother(outcome)) {
        this.#current = undefined;
        if (this.#closing) return;
        if (outcome.status === 'refused') this.#hooks.onRefused(outcome.reasons);
        else this.#hooks.onNotBegun(outcome.reason);
        return;
      }
      this.#complete = outcome.status === 'completed';
      await this.#stopListening();
      this.#settle(outcome);
    });
  }
}

function mayTakeAnother(outcome: ReceiveOutcome): outcome is Exclude<ReceiveOutcome, IncomingOutcome> {
  return outcome.status === 'refused' || outcome.status === 'not-begun';
}
