import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

let made = 0;

/** Two ends of one Unix socket, made through a socket file in the directory. */
export async function socketPair(directory: string): Promise<[Socket, Socket]> {
  const path = join(directory, `pair${made++}`);
  const server = createServer().listen(path);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect(path);
  await once(near, 'connect');
  const [far] = await accepted;
  server.close();
  return [near, far];
}

/** Collects what comes, and waits for it. */
export class Collected {
  #bytes = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  closed = false;

  constructor(stream: NodeJS.ReadableStream) {
    stream.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      this.#wake?.();
    });
    stream.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  get text(): string {
    return this.#bytes.toString('latin1');
  }

  get length(): number {
    return this.#bytes.length;
  }

  async until(condition: (text: string) => boolean): Promise<string> {
    while (!condition(this.text) && !this.closed) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.text;
  }

  async untilClosed(): Promise<string> {
    while (!this.closed) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.text;
  }
}
