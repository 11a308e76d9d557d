/** The main thread's side of the listening port. */
import { EventEmitter } from 'node:events';
import { formatAddress } from '../../configure/address.js';
import type { Security } from '../../configure/security.js';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { WorkerCode } from '../../threads/worker-code.js';
import { WorkerHandle } from '../../threads/worker-handle.js';
import type { AcceptedChannel, AcceptorJob, AcceptorNews, TlsAcceptorJob } from './accepted-channel.js';
import type { TlsSecurity } from './tls.js';

interface ListenerEvents {
  channel: [channel: AcceptedChannel];
  /** It accepts no more. */
  failed: [error: Error];
}

const CODE = new WorkerCode(new URL('../workers/acceptor.js', import.meta.url));
const TLS_CODE = new WorkerCode(new URL('../workers/tls-acceptor.js', import.meta.url));

/** A worker that hands on who is known, and how it is ended. */
interface Acceptor {
  worker: Pick<WorkerHandle<never, AcceptorNews>, 'on' | 'onFailed'>;
  end(): Promise<void>;
}

export class Listener extends EventEmitter<ListenerEvents> {
  readonly #acceptor: Acceptor;
  readonly port: number;

  /** Throws ADDRESS_IN_USE, or BAD_CONFIG for an address that this host does not have. Port 0 takes any free one. */
  constructor(host: string, port: number, security: Security) {
    super();
    const socket = listen(host, port);
    this.port = socket.port;
    this.#acceptor = security.kind === 'plain' ? acceptPlain(socket) : acceptSecured(socket, security);
    this.#acceptor.worker.on('channel', ({ channel }) => this.emit('channel', channel));
    this.#acceptor.worker.onFailed((error) => this.emit('failed', error));
  }

  /** Connections that were handed on stay. */
  async close(): Promise<void> {
    await this.#acceptor.end();
  }
}

function acceptPlain(socket: Socket): Acceptor {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new WorkerHandle<AcceptorJob, AcceptorNews>(CODE, 'acceptor');
  worker.run({ listenerHandle: socket.handle, stop: stop.buffer });
  const end = async (): Promise<void> => {
    Atomics.store(stop, 0, 1);
    socket.shutdown(); // wakes the acceptor's poll
    await worker.end();
    socket.close();
  };
  return { worker, end };
}

function acceptSecured(socket: Socket, security: TlsSecurity): Acceptor {
  const worker = new WorkerHandle<TlsAcceptorJob, AcceptorNews, 'end'>(TLS_CODE, 'acceptor');
  worker.run({ listenerFd: socket.detachFd(), security });
  const end = async (): Promise<void> => {
    worker.post('end');
    await worker.end();
  };
  return { worker, end };
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
