/**
 * Keys and record numbers with which somebody else goes on with a TLS connection of Node's: those of a published handshake,
 * and of real ones, whose records are opened with them.
 */
import { createDecipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { clientOptions, LET_IN, serverOptions, type TlsSecurity } from '../../../../src/migrate/link/tls.js';
import { TrafficKeys } from '../../../../src/migrate/link/traffic-keys.js';

const PREAMBLE = Buffer.alloc(32, 7);
const APPLICATION_DATA = 23;
const TAG_BYTES = 16;
const HEADER_BYTES = 5;

test('the keys of the handshake in RFC 8448, 3', () => {
  const keys = new TrafficKeys();
  const secret = 'a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643';
  keys.hear(Buffer.from(`SERVER_TRAFFIC_SECRET_0 00ff ${secret}\n`));
  keys.hear(Buffer.from('EXPORTER_SECRET 00ff 00ff\n'));
  const [key, nonce] = ['9f02283b6c9c07efc26bb9f2ac92e356', 'cf782b88dd83549aadf1e984'];
  expect(Buffer.from(keys.of('SERVER')!).toString('hex')).toBe(key + nonce);
  expect(keys.of('CLIENT')).toBeUndefined();
});

/** What a side has sent, in whole records with its traffic key: the type within and the bytes. */
function open(stream: Buffer, secret: Uint8Array): { type: number; bytes: Buffer }[] {
  const opened: { type: number; bytes: Buffer }[] = [];
  for (let at = 0; at + HEADER_BYTES <= stream.length;) {
    const header = stream.subarray(at, at + HEADER_BYTES);
    const end = at + HEADER_BYTES + header.readUInt16BE(3);
    const body = stream.subarray(at + HEADER_BYTES, end);
    at = end;
    const nonce = Buffer.from(secret.subarray(16));
    nonce[11]! ^= opened.length; // the number of the record
    const cipher = createDecipheriv('aes-128-gcm', secret.subarray(0, 16), nonce).setAAD(header);
    if (header[0] !== APPLICATION_DATA) continue;
    cipher.setAuthTag(body.subarray(-TAG_BYTES));
    try {
      const plain = Buffer.concat([cipher.update(body.subarray(0, -TAG_BYTES)), cipher.final()]);
      opened.push({ type: plain.at(-1)!, bytes: plain.subarray(0, -1) });
    } catch {
      // of the handshake, which has keys of its own
    }
  }
  return opened;
}

/** Stands between, and keeps what passes. */
async function listening(port: number) {
  const seen = { toServer: [] as Buffer[], toClient: [] as Buffer[] };
  const server = createServer((client) => {
    const there = connect(port, '127.0.0.1');
    for (const [from, to, kept] of [
      [client, there, seen.toServer],
      [there, client, seen.toClient],
    ] as const) {
      from.on('data', (part) => (kept.push(part), to.write(part)));
      from.on('error', () => {}).on('close', () => to.destroy());
    }
  });
  return { seen, port: await portOf(server) };
}

async function portOf(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('records of a connection with a key have the numbers that the ends count', async () => {
  const security: TlsSecurity = { kind: 'key', key: createHash('sha256').update('a key').digest('hex') };
  const [server, client] = [new TrafficKeys(), new TrafficKeys()];
  const counted = { atServer: 0, atClient: 0 };
  const tls = createTlsServer(serverOptions(security, 5000));
  tls.on('keylog', (line: Buffer) => server.hear(line));
  tls.on('newSession', (_id: Buffer, _data: Buffer, done: () => void) => (counted.atServer++, done()));
  const heard = new Promise<Buffer>((resolve) =>
    tls.on('secureConnection', (socket: TLSSocket) => {
      socket.write(LET_IN);
      socket.once('data', resolve);
    }),
  );
  const between = await listening(await portOf(createServer((socket: Socket) => void tls.emit('connection', socket))));
  const secure = connectTls({ port: between.port, host: '127.0.0.1', ...clientOptions(security, '127.0.0.1') });
  onTestFinished(() => void secure.destroy());
  secure.on('keylog', (line: Buffer) => client.hear(line));
  secure.on('session', () => counted.atClient++);
  await once(secure, 'data');
  secure.write(PREAMBLE);
  expect(await heard).toEqual(PREAMBLE);
  expect(client.of('CLIENT')).toEqual(server.of('CLIENT'));
  const fromServer = open(Buffer.concat(between.seen.toClient), client.of('SERVER')!);
  expect(fromServer.filter(({ type }) => type === APPLICATION_DATA).map(({ bytes }) => bytes)).toEqual([
    Buffer.from(LET_IN),
  ]);
  expect(fromServer).toHaveLength(1 + counted.atServer);
  expect(counted.atClient).toBe(counted.atServer);
  const fromClient = open(Buffer.concat(between.seen.toServer), client.of('CLIENT')!);
  expect(fromClient).toEqual([{ type: APPLICATION_DATA, bytes: PREAMBLE }]);
});
