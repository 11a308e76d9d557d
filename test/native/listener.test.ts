/** The listening port with its acceptor, which is a thread: what runs is dist/, so build first. */
import { afterEach, describe, expect, it } from 'vitest';
import type { AcceptedChannel } from '../../src/migrate/link/accepted-channel.js';
import { encodePreamble, PREAMBLE_BYTES } from '../../src/migrate/wire/preamble.js';
import { native, type Socket } from '../../src/native.js';
import { PATIENCE_MS } from './threads.js';

const BUILT = new URL('../../dist/migrate/link/listener.js', import.meta.url).href;
const { Listener } = (await import(BUILT)) as typeof import('../../src/migrate/link/listener.js');

const ID = new Uint8Array(16).fill(7);

type AListener = InstanceType<typeof Listener>;

const listeners: AListener[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
  for (const socket of sockets.splice(0)) socket.close();
});

function listen(host: string, port = 0): AListener {
  const listener = new Listener(host, port, { kind: 'plain' });
  listeners.push(listener);
  return listener;
}

function connect(port: number): Socket {
  const socket = new native.Socket('connect', '127.0.0.1', port, PATIENCE_MS);
  sockets.push(socket);
  return socket;
}

function next(listener: AListener): Promise<AcceptedChannel> {
  return new Promise((resolve, reject) => listener.once('channel', resolve).once('failed', reject));
}

describe('Listener', () => {
  it('hands on a connection whose preamble has come, piece by piece too', async () => {
    const listener = listen('127.0.0.1');
    const coming = next(listener);
    const client = connect(listener.port);
    const preamble = encodePreamble(7, 'bulk', 3, ID);
    client.send(preamble, 0, 10);
    client.send(preamble, 10, PREAMBLE_BYTES - 10);
    const { peer, socketHandle, preamble: heard } = await coming;
    const accepted = new native.Socket(null, socketHandle);
    sockets.push(accepted);
    expect(heard).toMatchObject({ channel: 'bulk', index: 3, id: ID });
    expect(peer).toBe(`127.0.0.1:${client.port}`);
    // It is a connection to that client.
    accepted.send(Uint8Array.of(42), 0, 1);
    const got = new Uint8Array(1);
    client.receive(got, 0, 1, 1, PATIENCE_MS);
    expect(got[0]).toBe(42);
  });

  it('drops what is no preamble, and goes on', async () => {
    const listener = listen('127.0.0.1');
    const coming = next(listener);
    const stranger = connect(listener.port);
    stranger.send(new Uint8Array(PREAMBLE_BYTES).fill(0xa5), 0, PREAMBLE_BYTES);
    connect(listener.port).send(encodePreamble(7, 'control', 0, ID), 0, PREAMBLE_BYTES);
    const { preamble, socketHandle } = await coming;
    sockets.push(new native.Socket(null, socketHandle));
    expect(preamble.channel).toBe('control');
  });

  it('says so if the port is taken', () => {
    const { port } = listen('127.0.0.1');
    expect(() => listen('127.0.0.1', port)).toThrow(
      expect.objectContaining({ code: 'ADDRESS_IN_USE', message: expect.stringContaining(`127.0.0.1:${port}`) }),
    );
  });

  it('says so if this host has no such address', () => {
    // TEST-NET-1 (RFC 5737).
    expect(() => listen('192.0.2.1')).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIG', message: 'cannot listen on 192.0.2.1:0' }),
    );
  });

  it('accepts nobody once it is closed', async () => {
    const listener = listen('127.0.0.1');
    const { port } = listener;
    await listeners.pop()?.close();
    expect(() => connect(port)).toThrow();
  });
});
