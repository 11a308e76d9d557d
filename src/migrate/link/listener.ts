/** The main thread's side of the listening port. */
import { EventEmitter } from 'node:events';
import { formatAddress } from '../../configure/address.js';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { WorkerCode } from '../../threads/worker-code.js';
import { WorkerHandle } from '../../threads/worker-handle.js';
import type { AcceptedChannel, AcceptorJob, AcceptorNews } from './accepted-channel.js';

interface ListenerEvents {
  channel: [channel: AcceptedChannel];
  /** It accepts no more. */
  failed: [error: Error];
}

const CODE = new WorkerCode(new URL('../workers/acceptor.js', import.meta.url));

export class Listener extends EventEmitter<ListenerEvents> {
  readonly #socket: Socket;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #acceptor: WorkerHandle<AcceptorJob, AcceptorNews>;
  readonly port: number;

  /** Throws ADDRESS_IN_USE, or BAD_CONFIG for an address that this host does not have. Port 0 takes any free one. */
  constructor(host: string, port: number) {
    super();
    this.#socket = listen(host, port);
    this.port = this.#socket.port;
    this.#acceptor = new WorkerHandle(CODE, 'acceptor');
    this.#acceptor.on('channel', ({ channel }) => this.emit('channel', channel));
    this.#acceptor.onFailed((error) => this.emit('failed', error));
    this.#acceptor.run({ listenerHandle: this.#socket.handle, stop: this.#stop.buffer });
  }

  async close(): Promise<void> {
    Atomics.store(this.#stop, 0, 1);
    this.#socket.shutdown(); // wakes the acceptor's poll
    await this.#acceptor.end();
    this.#socket.close();
  }
}

function listen(host: string, port: number): Socket {
  try {
    return new native.Socket('listen', host, port);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      throw new PostcopyError(
        'ADDRESS_IN_USE',
        `${formatAddress({ host, port })} is in use: choose another port`,
        error,
        [{ kind: 'port-taken' }],
      );
    }
    throw new PostcopyError('BAD_CONFIG', `cannot listen on ${formatAddress({ host, port })}`, error);
  }
}
