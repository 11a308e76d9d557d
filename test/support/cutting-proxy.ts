/**
 * A network that fails on cue: it stands between a source and a destination, reads the control channel's frames, and
 * does something exactly when a certain message is about to pass or has just passed, or within the push.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { MESSAGES, type MessageType } from '../../src/migrate/wire/message.js';

const PREAMBLE_BYTES = 32;
const PREAMBLE_CHANNEL = 10;
const CHANNELS = ['control', 'urgent', 'bulk'] as const;
const FRAME_HEADER_BYTES = 8;
const FRAME_TAG = 4;

/** What happens to the message: it goes on its way, or it does not. */
export type Fate = 'forward' | 'drop';
/** `frame`: the message with its header; it may be changed in place. */
export type Spring = (frame: Buffer) => Fate | void | Promise<Fate | void>;

interface Trap {
  message: MessageType;
  when: 'before' | 'after';
  spring: Spring;
}

export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: { host: string; port: number };
  readonly #closed: Promise<void>;
  #close!: () => void;
  #trap: Trap | undefined;
  #bulkTrap: { bytes: number; spring: Spring } | undefined;
  readonly #bulk = new Set<ChannelState>();
  #pushing: { channels: number; all: Promise<void> } | undefined;
  #allPush: () => void = () => {};
  #silent = false;
  /** To the destination. */
  #urgent: Socket | undefined;
  #sprung = false;

  private constructor(target: { host: string; port: number }, server: Server) {
    this.#target = target;
    this.#server = server;
    this.#closed = new Promise((resolve) => (this.#close = resolve));
    server.on('connection', (socket) => void this.#join(socket));
  }

  /** Stands in for the destination until close(), or the test's end. */
  static async open(target: { host: string; port: number }): Promise<CuttingProxy> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new CuttingProxy(target, server);
    onTestFinished(() => proxy.close());
    return proxy;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
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
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Only the destination's end of the urgent channel breaks, with a reset; the source's stays open. */
  resetUrgent(): void {
    this.#urgent?.resetAndDestroy();
  }

  /** Nothing passes any more, and no connection breaks. */
  silence(): void {
    this.#silent = true;
  }

  /** After silence(): what was connected breaks, and what connects from now on is heard. */
  speak(): void {
    this.#silent = false;
    this.cut();
  }

  async close(): Promise<void> {
    this.#close();
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(source: Socket): void {
    const destination = connect({ ...this.#target, allowHalfOpen: true });
    for (const [socket, other] of [
      [source, destination],
      [destination, source],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (!this.#silent && socket !== this.#urgent) other.destroy();
      });
    }
    const channel: ChannelState = { kind: undefined };
    void this.#relay(source, destination, channel, 'preamble').catch(() => {});
    void this.#relay(destination, source, channel, 'answer').catch(() => {});
  }

  async #relay(from: Socket, to: Socket, channel: ChannelState, first: 'preamble' | 'answer'): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    let begun = false;
    for await (const chunk of from as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      if (!begun) {
        if (rest.length < PREAMBLE_BYTES) continue;
        begun = true;
        if (first === 'preamble') channel.kind = CHANNELS[rest[PREAMBLE_CHANNEL]!];
        if (first === 'preamble' && channel.kind === 'urgent') this.#urgent = to;
        await this.#forward(to, rest.subarray(0, PREAMBLE_BYTES));
        rest = rest.subarray(PREAMBLE_BYTES);
      }
      if (channel.kind === 'control') {
        rest = await this.#frames(to, rest);
      } else {
        if (first === 'preamble' && channel.kind === 'bulk') await this.#meet(channel);
        await this.#push(to, rest, channel);
        rest = Buffer.alloc(0);
      }
    }
    if (this.#silent) await this.#closed;
    to.end();
  }

  /** Forwards the frames that are whole and returns the rest. */
  async #frames(to: Socket, bytes: Buffer): Promise<Buffer> {
    while (bytes.length >= FRAME_HEADER_BYTES) {
      const length = FRAME_HEADER_BYTES + bytes.readUInt32LE(0);
      if (bytes.length < length) break;
      await this.#frame(to, bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    return bytes;
  }

  async #frame(to: Socket, frame: Buffer): Promise<void> {
    const trap = this.#trap;
    const caught = trap !== undefined && MESSAGES[trap.message].tag === frame.readUInt32LE(FRAME_TAG);
    if (caught) this.#trap = undefined;
    if (caught) this.#sprung = true;
    if (caught && trap.when === 'before' && (await trap.spring(frame)) === 'drop') return;
    await this.#forward(to, frame);
    if (caught && trap.when === 'after') await trap.spring(frame);
  }

  async #meet(channel: ChannelState): Promise<void> {
    this.#bulk.add(channel);
    if (this.#pushing === undefined) return;
    if (this.#bulk.size >= this.#pushing.channels) this.#allPush();
    await this.#pushing.all;
  }

  async #push(to: Socket, bytes: Buffer, channel: ChannelState): Promise<void> {
    if (this.#bulkTrap !== undefined && channel.kind === 'bulk') {
      this.#bulkTrap.bytes -= bytes.length;
      if (this.#bulkTrap.bytes < 0) {
        const { spring } = this.#bulkTrap;
        this.#bulkTrap = undefined;
        this.#sprung = true;
        if ((await spring(bytes)) === 'drop') return;
      }
    }
    await this.#forward(to, bytes);
  }

  async #forward(to: Socket, bytes: Buffer): Promise<void> {
    if (this.#silent) await this.#closed;
    if (to.destroyed || bytes.length === 0) return;
    if (!to.write(bytes)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
  }
}

interface ChannelState {
  kind: (typeof CHANNELS)[number] | undefined;
}
