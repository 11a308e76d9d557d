/** The other side of a migration, played by the test: it says what it should, until it says something else. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { encodeMessage, FrameDecoder } from '../../src/migrate/wire/frame.js';
import type { Body, Hello, Message, MessageType } from '../../src/migrate/wire/message.js';
import {
  decodePreamble,
  encodePreamble,
  encodeVerdict,
  PREAMBLE_BYTES,
  VERDICTS,
  type Channel,
  type Preamble,
  type Verdict,
} from '../../src/migrate/wire/preamble.js';
import { PING_INTERVAL_MS, PROTOCOL_VERSION, type ProtocolVersion } from '../../src/migrate/wire/protocol.js';

/** One connection, read piece by piece. */
export class FakeChannel {
  readonly #decoder: FrameDecoder;
  readonly #messages: Message[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  constructor(
    readonly socket: Socket,
    readonly version: ProtocolVersion = PROTOCOL_VERSION,
  ) {
    this.#decoder = new FrameDecoder(version);
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static open(address: { host: string; port: number }, version = PROTOCOL_VERSION as ProtocolVersion): FakeChannel {
    const socket = connect(address);
    onTestFinished(() => void socket.destroy());
    return new FakeChannel(socket, version);
  }

  /** As many bytes; undefined if the other side closed before. */
  async take(count: number): Promise<Buffer | undefined> {
    while (this.#bytes.length < count) {
      if (this.#ended) return undefined;
      await this.#more();
    }
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Waits for a message of this type and drops others; undefined if the other side closed before. */
  async message<T extends MessageType>(type: T): Promise<Body<T> | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message?.type === type) return message.body as Body<T>;
      if (message !== undefined) continue;
      if (this.#bytes.length > 0) {
        this.#messages.push(...this.#decoder.push(this.#bytes));
        this.#bytes = Buffer.alloc(0);
      } else if (this.#ended) {
        return undefined;
      } else {
        await this.#more();
      }
    }
  }

  /** The other side has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#ended) await this.#more();
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  send<T extends MessageType>(type: T, body: Body<T>): void {
    this.write(encodeMessage(type, body, this.version));
  }

  /** Answers as an end that speaks this channel's version only: in that version, with the verdict `version`. */
  refuse(preamble: Preamble): void {
    this.write(encodeVerdict({ ...preamble, version: this.version }, 'version'));
    this.socket.end();
  }

  /** A real end pings, however long it takes for all else: silence has an end of its own (LINK_TIMEOUT_MS). */
  keepAlive(): void {
    const pinging = setInterval(() => this.send('ping', { sentAt: 0 }), PING_INTERVAL_MS);
    const stop = () => clearInterval(pinging);
    this.socket.on('finish', stop).on('close', stop);
  }

  #more(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** Connects a channel of the migration `id` (16 bytes) to a real destination; undefined if it says nothing. */
export async function greet(
  channel: FakeChannel,
  kind: Channel,
  id: Uint8Array,
  index = 0,
): Promise<Verdict | undefined> {
  channel.write(encodePreamble(channel.version, kind, index, id));
  const answer = await channel.take(PREAMBLE_BYTES);
  const verdict = answer === undefined ? undefined : VERDICTS[decodePreamble(answer).index];
  if (kind === 'control' && verdict === 'welcome') channel.keepAlive();
  return verdict;
}

export interface FakeLink {
  control: FakeChannel;
  urgent: FakeChannel;
  bulk: FakeChannel;
  hello: Hello;
}

export interface FakeSettings {
  /** What it speaks and takes; the newest by default. */
  version?: ProtocolVersion;
  /** Those that it chooses. */
  features?: string[];
}

/** Plays a destination for one migration, up to the page channels being open; then `play` goes on. */
export class FakeDestination {
  readonly #server: Server;
  readonly #channels: Partial<Record<Channel, FakeChannel>> = {};
  #hello: Hello | undefined;

  private constructor(
    server: Server,
    readonly play: (link: FakeLink) => Promise<void>,
    readonly settings: FakeSettings,
  ) {
    this.#server = server;
    const { version } = settings;
    server.on('connection', (socket) => void this.#admit(new FakeChannel(socket, version)).catch(() => {}));
  }

  static async open(play: (link: FakeLink) => Promise<void>, settings: FakeSettings = {}): Promise<FakeDestination> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeDestination(server, play, settings);
    onTestFinished(() => fake.close());
    return fake;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  async close(): Promise<void> {
    for (const channel of Object.values(this.#channels)) channel.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #admit(channel: FakeChannel): Promise<void> {
    const preamble = decodePreamble(new Uint8Array((await channel.take(PREAMBLE_BYTES))!));
    if (preamble.version !== channel.version) return channel.refuse(preamble);
    this.#channels[preamble.channel] = channel;
    channel.write(encodeVerdict(preamble, 'welcome'));
    if (preamble.channel === 'control') {
      channel.keepAlive();
      this.#hello = await channel.message('hello');
      channel.send('accept', { features: this.settings.features ?? [] });
    }
    const { control, urgent, bulk } = this.#channels;
    if (control !== undefined && urgent !== undefined && bulk !== undefined) {
      await this.play({ control, urgent, bulk, hello: this.#hello! });
    }
  }
}
