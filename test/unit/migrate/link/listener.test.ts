import type { EventEmitter } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import type { AcceptedChannel, AcceptorJob } from '../../../../src/migrate/link/accepted-channel.js';
import { Listener } from '../../../../src/migrate/link/listener.js';
import { native, POLLIN } from '../../../../src/native.js';

interface FakeAcceptor extends EventEmitter {
  jobs: AcceptorJob[];
}

const acceptors: FakeAcceptor[] = [];

vi.mock('../../../../src/threads/worker-code.js', async () => {
  const { EventEmitter } = await import('node:events');
  /** Does nothing by itself. */
  class Worker extends EventEmitter {
    readonly jobs: unknown[] = [];

    constructor() {
      super();
      acceptors.push(this as unknown as FakeAcceptor);
    }

    postMessage(job: unknown): void {
      this.jobs.push(job);
    }
  }
  return {
    WorkerCode: class {
      start = (): Worker => new Worker();
    },
  };
});

function listen(): { listener: Listener; acceptor: FakeAcceptor; job: AcceptorJob; close: () => Promise<void> } {
  const listener = new Listener('127.0.0.1', 0, { kind: 'plain' });
  const acceptor = acceptors.at(-1) as FakeAcceptor;
  const [job] = acceptor.jobs as [AcceptorJob];
  const close = async () => {
    const closed = listener.close();
    acceptor.emit('exit', 0);
    await closed;
  };
  return { listener, acceptor, job, close };
}

const channel = (index: number) =>
  ({ preamble: { channel: 'bulk', index }, socketHandle: 7, peer: 'b:1' }) as unknown as AcceptedChannel;

describe('a listener', () => {
  it('has a port, and gives the acceptor its socket', async () => {
    const { listener, job, close } = listen();
    const client = new native.Socket('connect', '127.0.0.1', listener.port, 10_000);
    const socket = new native.Socket(null, job.listenerHandle);
    expect(native.poll(Int32Array.of(socket.fd, POLLIN, 0), 1, 10_000)).toBe(1);
    client.close();
    await close();
  });

  it('tells of the channels that the acceptor hands on, and that it accepts no more', async () => {
    const { listener, acceptor, close } = listen();
    const told: unknown[] = [];
    listener.on('channel', (accepted) => told.push(accepted.preamble.index));
    listener.on('failed', (error) => told.push([error.message, error.cause]));
    acceptor.emit('message', { type: 'ready' });
    acceptor.emit('message', { type: 'channel', channel: channel(3) });
    acceptor.emit('message', { type: 'channel', channel: channel(4) });
    const why = new Error('out of memory');
    acceptor.emit('error', why);
    expect(told).toEqual([3, 4, ['the acceptor failed', why]]);
    await close();
  });

  it('tells the acceptor to stop and wakes it, and is closed when that has ended', async () => {
    const { listener, acceptor, job } = listen();
    const socket = new native.Socket(null, job.listenerHandle);
    expect(new Int32Array(job.stop)[0]).toBe(0);
    const seen: string[] = [];
    const closed = listener.close().then(() => seen.push('closed'));
    expect([new Int32Array(job.stop)[0], native.poll(Int32Array.of(socket.fd, POLLIN, 0), 1, 10_000)]).toEqual([1, 1]);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push('acceptor ends');
    acceptor.emit('exit', 0);
    await closed;
    expect(seen).toEqual(['acceptor ends', 'closed']);
  });

  it('says which port is taken, and which address this host does not have', async () => {
    const { listener, close } = listen();
    expect(() => new Listener('127.0.0.1', listener.port, { kind: 'plain' })).toThrow(
      expect.objectContaining({ code: 'ADDRESS_IN_USE', message: expect.stringContaining(`${listener.port}`) }),
    );
    expect(() => new Listener('192.0.2.1', 0, { kind: 'plain' })).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIG' }),
    );
    await close();
  });
});
