import { once } from 'node:events';
import { createServer, Socket, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { formatAddress, type Address } from '../../../../src/configure/address.js';
import { connectTo } from '../../../../src/migrate/link/connect-to.js';

let server: Server;
let sockets: Socket[];
/** Addresses that were tried, in order. */
let tried: string[];

beforeEach(async () => {
  sockets = [];
  tried = [];
  server = createServer((socket) => void sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** Who answers at an address: nobody says anything, somebody refuses, or the server takes it. */
type Answer = 'silent' | 'ECONNREFUSED' | 'EHOSTUNREACH' | 'takes';

function network(addresses: string[], answer: (address: string, tries: number) => Answer) {
  return {
    resolve: async () => addresses,
    connect: (address: Address) => {
      const text = formatAddress(address);
      tried.push(text);
      const socket = new Socket();
      sockets.push(socket);
      const says = answer(address.host, tried.filter((other) => other === text).length);
      if (says === 'takes') socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
      else if (says !== 'silent') socket.destroy(Object.assign(new Error(`connect ${says} ${text}`), { code: says }));
      return socket;
    },
  };
}

const wanted = new AbortController().signal;

it('goes to the first address of a name that takes it', async () => {
  const net = network(['192.0.2.1', '2001:db8::1', '192.0.2.3'], (host) =>
    host === '192.0.2.1' ? 'ECONNREFUSED' : 'takes',
  );
  const socket = await connectTo({ host: 'two', port: 7000 }, wanted, net);
  expect(socket.connecting).toBe(false);
  expect(tried).toEqual(['192.0.2.1:7000', '[2001:db8::1]:7000']);
});

it('tries again where nobody answered, and says so in the end', async () => {
  const net = network(['2001:db8::1', '192.0.2.1'], (host) => (host === '192.0.2.1' ? 'ECONNREFUSED' : 'EHOSTUNREACH'));
  await expect(connectTo({ host: 'far', port: 7 }, wanted, net)).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringMatching(/^cannot reach far:7: no connection came about, tried 3 times 5 s at most; /),
    cause: { message: 'connect EHOSTUNREACH [2001:db8::1]:7; connect ECONNREFUSED 192.0.2.1:7' },
  });
  expect(tried).toHaveLength(6);
});

it('gets through to a host that does not answer at first', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const net = network([], (_, tries) => (tries === 1 ? 'silent' : 'takes'));
  const connecting = connectTo({ host: '::1', port: 7 }, wanted, net);
  await vi.advanceTimersByTimeAsync(5000);
  vi.useRealTimers();
  expect((await connecting).connecting).toBe(false);
  expect(tried).toEqual(['[::1]:7', '[::1]:7']);
});

it('believes a host that refuses', async () => {
  const net = network([], () => 'ECONNREFUSED');
  await expect(connectTo({ host: '::1', port: 7 }, wanted, net)).rejects.toMatchObject({
    message: 'cannot reach [::1]:7: nobody listens there',
    facts: [{ kind: 'nobody-waits' }],
  });
  expect(tried).toHaveLength(1);
});

it('says which name means nobody', async () => {
  const unknown = { ...network([], () => 'silent'), resolve: () => Promise.reject(new Error('ENOTFOUND')) };
  await expect(connectTo({ host: 'nobody', port: 7 }, wanted, unknown)).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: 'the host name nobody cannot be looked up',
  });
});

it.each(['silent', 'EHOSTUNREACH'] as const)('ends at once when nobody wants it any more: %s', async (answer) => {
  const stop = new AbortController();
  const connecting = expect(
    connectTo(
      { host: '::1', port: 7 },
      stop.signal,
      network([], () => answer),
    ),
  ).rejects.toThrow();
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await connecting;
  expect(sockets.every((socket) => socket.destroyed)).toBe(true);
});
