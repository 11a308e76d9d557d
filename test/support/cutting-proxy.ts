/**
 * A network that fails on cue: it stands between a source and a destination, and does something exactly when a certain
 * message is about to pass or has just passed, or within the push.
 */
import { onTestFinished } from 'vitest';
import type { MessageType } from '../../src/migrate/wire/message.js';
import { otherEnd, Relay, type Connection, type End, type Passage, type Traffic } from './relay.js';

/** What happens to the message: it goes on its way, or it does not. */
export type Fate = 'forward' | 'drop';
/** `frame`: the message with its header; it may be changed in place. */
export type Spring = (frame: Buffer) => Fate | void | Promise<Fate | void>;

interface Trap {
  message: MessageType;
  when: 'before' | 'after';
  spring: Spring;
}

export class CuttingProxy implements Traffic {
  #relay!: Relay;
  readonly #closed: Promise<void>;
  #close!: () => void;
  #trap: Trap | undefined;
  #bulkTrap: { bytes: number; spring: Spring } | undefined;
  readonly #bulk = new Set<Connection>();
  #pushing: { channels: number; all: Promise<void> } | undefined;
  #allPush: () => void = () => {};
  #silent = false;
  #largest = Infinity;
  /** COMMIT has come: what bulk channels carry from then on are pages; before, they are tried. */
  #committed = false;
  #urgent: Connection | undefined;
  #sprung = false;

  private constructor() {
    this.#closed = new Promise((resolve) => (this.#close = resolve));
  }

  /** Stands in for the destination until close(), or the test's end. */
  static async open(target: { host: string; port: number }): Promise<CuttingProxy> {
    const proxy = new CuttingProxy();
    proxy.#relay = await Relay.open(target, proxy);
    onTestFinished(() => proxy.close());
    return proxy;
  }

  get address(): { host: string; port: number } {
    return this.#relay.address;
  }

  /** The trap's message has come. */
  get sprung(): boolean {
    return this.#sprung;
  }

  /** `before`: the message is held until `spring` decides; `after`: it has been handed to the network. Once. */
  onMessage(message: MessageType, when: 'before' | 'after', spring: Spring): this {
    this.#trap = { message, when, spring };
    return this;
  }

  /** When that much has passed on the bulk channels. Once. */
  onPushed(bytes: number, spring: Spring): this {
    this.#bulkTrap = { bytes, spring };
    return this;
  }

  /** Nothing that is pushed passes before as many bulk channels have something to push. */
  holdPushUntil(channels: number): this {
    this.#pushing = { channels, all: new Promise((resolve) => (this.#allPush = resolve)) };
    return this;
  }

  /** Bulk channels that have pushed something. */
  get bulkChannels(): number {
    return this.#bulk.size;
  }

  /** All connections break. */
  cut(): void {
    this.#relay.cut();
  }

  /** Only the destination's end of the urgent channel breaks, with a reset; the source's stays open. */
  resetUrgent(): void {
    this.#urgent?.sockets.destination.resetAndDestroy();
  }

  /** Nothing passes any more, and no connection breaks. */
  silence(): void {
    this.#silent = true;
  }

  /** Of what page channels carry, nothing larger passes, nor what is behind it; and no connection breaks. */
  swallow(largest: number): this {
    this.#largest = largest;
    return this;
  }

  /** After silence(): what was connected breaks, and what connects from now on is heard. */
  speak(): void {
    this.#silent = false;
    this.cut();
  }

  async close(): Promise<void> {
    this.#close();
    await this.#relay.close();
  }

  async pass(passage: Passage, forward: () => Promise<void>): Promise<void> {
    const { connection, to, message } = passage;
    if (connection.channel === 'urgent') this.#urgent = connection;
    const goOn = () => this.#forward(forward);
    if (passage.isPreamble) return goOn();
    if (message !== undefined) return this.#message(passage, message, goOn);
    if (passage.bytes.length > this.#largest) await this.#closed;
    if (!this.#committed) return goOn();
    if (connection.channel === 'bulk' && to === 'destination') await this.#meet(connection);
    return this.#push(passage, goOn);
  }

  async endsFor(): Promise<void> {
    if (this.#silent) await this.#closed;
  }

  gone(connection: Connection, end: End): void {
    const stays = connection.channel === 'urgent' && end === 'destination';
    if (!this.#silent && !stays) connection.sockets[otherEnd(end)].destroy();
  }

  async #message({ bytes }: Passage, message: MessageType, forward: () => Promise<void>): Promise<void> {
    this.#committed ||= message === 'commit';
    const trap = this.#trap;
    if (trap?.message !== message) return forward();
    this.#trap = undefined;
    this.#sprung = true;
    if (trap.when === 'before' && (await trap.spring(bytes)) === 'drop') return;
    await forward();
    if (trap.when === 'after') await trap.spring(bytes);
  }

  async #meet(connection: Connection): Promise<void> {
    this.#bulk.add(connection);
    if (this.#pushing === undefined) return;
    if (this.#bulk.size >= this.#pushing.channels) this.#allPush();
    await this.#pushing.all;
  }

  async #push({ connection, bytes }: Passage, forward: () => Promise<void>): Promise<void> {
    if (this.#bulkTrap !== undefined && connection.channel === 'bulk') {
      this.#bulkTrap.bytes -= bytes.length;
      if (this.#bulkTrap.bytes < 0) {
        const { spring } = this.#bulkTrap;
        this.#bulkTrap = undefined;
        this.#sprung = true;
        if ((await spring(bytes)) === 'drop') return;
      }
    }
    await forward();
  }

  async #forward(forward: () => Promise<void>): Promise<void> {
    if (this.#silent) await this.#closed;
    await forward();
  }
}
