import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ControlConnection } from '../../../../src/migrate/link/control-connection.js';
import { encodeMessage, FrameDecoder } from '../../../../src/migrate/wire/frame.js';
import { PROTOCOL_VERSION } from '../../../../src/migrate/wire/protocol.js';
import { native } from '../../../../src/native.js';
import type { Message } from '../../../../src/migrate/wire/message.js';

const LIMIT_MS = 1000;
const PEER_BEHIND = 1e9;

class FakeSocket extends EventEmitter {
  readonly sent: Message[] = [];
  readonly #decoder = new FrameDecoder();
  setNoDelay = () => {};
  resume = () => {};
  end = () => {};
  destroy = () => {};
  write = (frame: Uint8Array) => void this.sent.push(...this.#decoder.push(frame));

  pong(sentAt: number): void {
    this.emit('data', encodeMessage('pong', { sentAt }));
  }

  get lastPing(): number {
    const ping = this.sent.filter(({ type }) => type === 'ping').at(-1);
    return (ping!.body as { sentAt: number }).sentAt;
  }
}

let socket: FakeSocket;
let control: ControlConnection;
beforeEach(() => {
  vi.useFakeTimers();
  socket = new FakeSocket();
  control = new ControlConnection(socket as unknown as Socket, 'there:1', PROTOCOL_VERSION);
});
afterEach(() => {
  control.close();
  vi.useRealTimers();
});

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), vi.advanceTimersByTimeAsync(0).then(() => false)]);
}

it('is caught up when the ping that was sent last is answered, not one before', async () => {
  control.ping();
  const earlier = socket.lastPing;
  const caughtUp = control.caughtUp(LIMIT_MS);
  expect(socket.lastPing).toBeGreaterThan(earlier);
  socket.pong(earlier);
  expect(await isSettled(caughtUp)).toBe(false);
  socket.pong(socket.lastPing);
  expect(await isSettled(caughtUp)).toBe(true);
  expect(await caughtUp).toBe(true);
  expect(vi.getTimerCount()).toBe(1); // the watch
});

it('does not wait for ever for a peer to catch up', async () => {
  const caughtUp = control.caughtUp(LIMIT_MS);
  await vi.advanceTimersByTimeAsync(LIMIT_MS - 1);
  expect(await isSettled(caughtUp)).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(await isSettled(caughtUp)).toBe(true);
  expect(await caughtUp).toBe(false);
});

it("relates the peer's clock to this one by the ping that came quickest", () => {
  expect(control.peerOffsetMicros).toBeUndefined();
  const ping = (tookMicros: number) => {
    const sentAt = native.monotonicMicros() - tookMicros - PEER_BEHIND;
    socket.emit('data', encodeMessage('ping', { sentAt }));
    expect(socket.sent.at(-1)).toEqual({ type: 'pong', body: { sentAt } });
  };
  for (const tookMicros of [9e6, 0, 8e6]) ping(tookMicros);
  expect(control.peerOffsetMicros).toBeGreaterThanOrEqual(PEER_BEHIND);
  expect(control.peerOffsetMicros).toBeLessThan(PEER_BEHIND + 5e6);
});

it.each([
  ['breaks', () => socket.emit('close')],
  ['is closed', () => control.close()],
])('waits no longer for a peer when the connection %s', async (_, end) => {
  const caughtUp = control.caughtUp(LIMIT_MS);
  end();
  expect(await isSettled(caughtUp)).toBe(true);
  expect(await caughtUp).toBe(false);
  const sent = socket.sent.length;
  expect(await control.caughtUp(LIMIT_MS)).toBe(false);
  expect(socket.sent).toHaveLength(sent);
});
