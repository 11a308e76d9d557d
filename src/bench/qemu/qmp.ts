/** QEMU's machine protocol (qemu docs/interop/qmp-spec): one JSON object a line, both ways. */
import type { Duplex } from 'node:stream';

const ANSWER_LIMIT_MS = 30_000;

interface Message {
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
}

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Qmp {
  readonly #stream: Duplex;
  readonly #waiting = new Map<number, Waiter>();
  readonly #listeners: ((event: QmpEvent) => void)[] = [];
  #text = '';
  #lastId = 0;
  #closed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk.toString('latin1')));
    stream.on('error', () => {}); // 'close' follows
    stream.on('close', () => this.#end());
  }

  /** The first command there has to be. */
  async negotiate(): Promise<void> {
    await this.execute('qmp_capabilities');
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves to what the command returns; rejects with QEMU's own words, and when QEMU ends. */
  execute(command: string, args: object = {}): Promise<unknown> {
    if (this.#closed) return Promise.reject(ended(command));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const late = () => settle(() => reject(new Error(`QEMU has not answered ${command}`)));
      const timer = setTimeout(late, ANSWER_LIMIT_MS);
      const settle = (outcome: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        outcome();
      };
      this.#waiting.set(id, {
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(new Error(`QEMU refuses ${command}: ${error.message}`))),
      });
      this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  close(): void {
    this.#stream.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') this.#take(JSON.parse(line) as Message);
  }

  #take(message: Message): void {
    if (message.event !== undefined) {
      for (const listener of this.#listeners) listener({ event: message.event, data: message.data ?? {} });
    }
    if (message.id === undefined) return; // the greeting, or an event
    const waiter = this.#waiting.get(message.id);
    if (message.error !== undefined) waiter?.reject(new Error(message.error.desc));
    else waiter?.resolve(message.return);
  }

  #end(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting.values()]) waiter.reject(new Error('QEMU has ended'));
  }
}

function ended(command: string): Error {
  return new Error(`QEMU has ended and cannot take ${command}`);
}
