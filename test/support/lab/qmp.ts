import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { within } from './deadline.js';

const ANSWER_LIMIT_MS = 30_000;

interface Message {
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
}

/** QEMU's machine protocol (qemu docs/interop/qmp-spec): the test's hand on a virtual host from the outside. */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #lastId = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', (line) => this.#take(JSON.parse(line) as Message));
  }

  /** The first command there has to be. */
  async negotiate(): Promise<void> {
    await this.execute('qmp_capabilities');
  }

  async execute(command: string, args: object = {}): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    const closed = once(this.#socket, 'close').then((): Message => ({
      error: { class: 'Closed', desc: 'QEMU ended' },
    }));
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const describe = (): string => `QEMU has not answered ${command}`;
    const message = await within(ANSWER_LIMIT_MS, Promise.race([answer, closed]), describe);
    if (message.error) throw new Error(`QEMU refuses ${command}: ${message.error.desc}`);
    return message.return;
  }

  #take(message: Message): void {
    if (message.id === undefined) return; // greeting, events
    this.#waiting.get(message.id)?.(message);
    this.#waiting.delete(message.id);
  }
}
