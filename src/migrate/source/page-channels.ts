/** The source's urgent and bulk channels with their workers, from connecting to the last page released. */
import type { PostcopyError } from '../../errors.js';
import { PageBitmap } from '../../memory/page-bitmap.js';
import { native, type NativeMemory, type Socket } from '../../native.js';
import { Counters, type CounterName } from '../counters.js';
import { LinkSwitch } from '../link-switch.js';
import { PageWorker } from '../page-worker.js';
import type { Channel } from '../preamble.js';
import { CHANNEL_OPEN, type SourceJob } from './jobs.js';
import type { ChannelAddress } from './open-channel.js';

interface PageChannel {
  kind: Channel;
  worker: PageWorker<SourceJob>;
  counters: Counters;
  socket?: Socket;
}

export class SourcePageChannels {
  readonly unsent: PageBitmap;
  readonly #link = new LinkSwitch();
  readonly #starting: Promise<PageChannel>[];
  readonly #channels: PageChannel[] = [];

  constructor(
    readonly memory: NativeMemory,
    pages: number,
    bulkChannels: number,
    readonly failed: (reason: PostcopyError) => void,
  ) {
    this.unsent = new PageBitmap(pages);
    const kinds = ['urgent', ...Array.from({ length: bulkChannels }, () => 'bulk' as const)] as const;
    this.#starting = kinds.map((kind) => this.#start(kind));
    for (const start of this.#starting) start.catch(() => {}); // told by open()
  }

  /** Connects all channels. Throws when the destination does not take one. */
  async open(host: string, port: number, id: Uint8Array): Promise<void> {
    const channels = await Promise.all(this.#starting);
    await Promise.all(
      channels.map((channel, i) =>
        this.#open(channel, { host, port, id, channel: channel.kind, index: Math.max(0, i - 1) }),
      ),
    );
  }

  async #start(kind: 'urgent' | 'bulk'): Promise<PageChannel> {
    const module = kind === 'urgent' ? './page-server.js' : './background-push.js';
    const worker = await PageWorker.start<SourceJob>(new URL(module, import.meta.url));
    const channel: PageChannel = { kind, worker, counters: new Counters() };
    this.#channels.push(channel);
    return channel;
  }

  async #open(channel: PageChannel, address: ChannelAddress): Promise<void> {
    const { worker } = channel;
    await new Promise<void>((resolve, reject) => {
      worker.on('event', (name, value) => {
        if (name !== CHANNEL_OPEN) return;
        channel.socket = new native.Socket(null, value);
        resolve();
      });
      worker.on('failed', (reason) => {
        reject(reason);
        this.failed(reason);
      });
      worker.run({
        address,
        memoryHandle: this.memory.handle,
        unsent: this.unsent.buffer,
        pages: this.unsent.pages,
        link: this.#link.buffer,
        counters: channel.counters.buffer,
      });
    });
  }

  /** What the page server may send, and the push will: [first page, pages] pairs. Before STATE is sent. */
  offer(extents: Uint32Array): void {
    for (let i = 0; i < extents.length; i += 2) this.unsent.setRange(extents[i]!, extents[i + 1]!);
  }

  /** The guest runs at the destination: the push begins, and pages it has are released here. */
  startPush(): void {
    this.#link.handOver();
  }

  sum(name: CounterName, kind?: Channel): number {
    return this.#channels.reduce(
      (total, channel) => (kind === undefined || channel.kind === kind ? total + channel.counters.get(name) : total),
      0,
    );
  }

  /** Ends the workers and closes the channels. */
  async close(): Promise<void> {
    this.#link.stop();
    await Promise.allSettled(this.#starting);
    const channels = this.#channels.splice(0);
    for (const { socket } of channels) socket?.shutdown();
    await Promise.all(channels.map(({ worker }) => worker.end()));
    for (const { socket } of channels) socket?.close();
  }
}
