import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Dialer } from '../../../../src/migrate/link/dialer.js';
import { connectControl } from '../../../../src/migrate/link/connect-control.js';
import { encodeMessage } from '../../../../src/migrate/wire/frame.js';
import { decodePreamble, encodeVerdict, PREAMBLE_BYTES, type Verdict } from '../../../../src/migrate/wire/preamble.js';
import { FIRST_ANSWER_TIMEOUT_MS } from '../../../../src/migrate/wire/protocol.js';

const ID = new Uint8Array(16).fill(7);

let server: Server;
let peers: Socket[];
/** What the other end does with a preamble. */
let greet: (socket: Socket, preamble: Uint8Array) => void;

beforeEach(async () => {
  peers = [];
  server = createServer((socket) => {
    peers.push(socket);
    socket.on('error', () => {}); // 'close' follows
    socket.on('data', (chunk) => greet(socket, new Uint8Array(chunk.subarray(0, PREAMBLE_BYTES))));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of peers) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

function address(): { host: string; port: number } {
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const dialer = (): Dialer => new Dialer({ ...address(), security: { kind: 'plain' } });

const says = (verdict: Verdict) => (socket: Socket, preamble: Uint8Array) =>
  void socket.write(encodeVerdict(decodePreamble(preamble), verdict));

it('is connected when it is welcome, and hears what comes right behind', async () => {
  greet = (socket, preamble) => {
    const welcome = encodeVerdict(decodePreamble(preamble), 'welcome');
    socket.write(Buffer.concat([welcome, encodeMessage('accept', { features: [] })]));
  };
  const control = await connectControl(dialer(), ID, new AbortController().signal);
  expect(control.remote).toEqual(address());
  const [message] = await once(control, 'message');
  expect(message).toEqual({ type: 'accept', body: { features: [] } });
  control.close();
});

it.each<[string, (socket: Socket, preamble: Uint8Array) => void, string]>([
  ['is busy', says('busy'), 'REFUSED'],
  ['speaks another version', says('version'), 'BAD_PEER'],
  ['is no postcopy', (socket) => void socket.write(Buffer.alloc(PREAMBLE_BYTES, 'x')), 'BAD_PEER'],
  ['closes at once', (socket) => void socket.end(), 'BAD_PEER'],
])('fails when the other end %s, and closes the connection', async (_, does, code) => {
  greet = does;
  await expect(connectControl(dialer(), ID, new AbortController().signal)).rejects.toMatchObject({ code });
  const [peer] = peers;
  if (peer?.closed === false) await once(peer, 'close');
});

it('says who cannot be reached', async () => {
  const { host, port } = address();
  await new Promise((resolve) => server.close(resolve));
  await expect(
    connectControl(new Dialer({ host, port, security: { kind: 'plain' } }), ID, new AbortController().signal),
  ).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: `cannot reach 127.0.0.1:${port}: nobody listens there`,
    facts: [{ kind: 'nobody-waits' }],
  });
});

it('waits for an answer no longer than it should', async () => {
  const greeted = new Promise<void>((resolve) => (greet = () => resolve()));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const connecting = connectControl(dialer(), ID, new AbortController().signal);
  const { port } = address();
  const failing = expect(connecting).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: `127.0.0.1:${port} took the connection, and has not answered for 30 s: something else than postcopy listens there, or that host is too busy to answer`,
  });
  await greeted;
  await vi.advanceTimersByTimeAsync(FIRST_ANSWER_TIMEOUT_MS);
  await failing;
});

it('is aborted while it waits for an answer, with nothing left open', async () => {
  const greeted = new Promise<void>((resolve) => (greet = () => resolve()));
  const stop = new AbortController();
  const connecting = expect(connectControl(dialer(), ID, stop.signal)).rejects.toThrow();
  await greeted;
  stop.abort();
  await connecting;
  const [peer] = peers;
  if (peer?.closed === false) await once(peer, 'close');
});

it('does not even connect when it was aborted before', async () => {
  const stop = new AbortController();
  stop.abort();
  await expect(connectControl(dialer(), ID, stop.signal)).rejects.toThrow();
});
