/** Opens the control channel to a destination. */
import { connect, type Socket } from 'node:net';
import { within } from '../../basics/within.js';
import { PostcopyError } from '../../errors.js';
import { ControlConnection } from './control-connection.js';
import { checkVerdict, encodePreamble, PREAMBLE_BYTES } from '../wire/preamble.js';
import { CONNECT_TIMEOUT_MS } from '../wire/protocol.js';

/** Throws UNREACHABLE if nobody answers, BAD_PEER if it is no postcopy or another version, REFUSED if it is busy. */
export async function connectControl(host: string, port: number, id: Uint8Array): Promise<ControlConnection> {
  const peer = `${host}:${port}`;
  const socket = connect({ host, port });
  try {
    await inTime(`${peer} does not answer`, (done, failed) => {
      socket.once('connect', done);
      socket.once('error', failed);
    });
    socket.write(encodePreamble('control', 0, id));
    checkVerdict(await readExactly(socket, PREAMBLE_BYTES), peer);
    return new ControlConnection(socket, peer);
  } catch (error) {
    socket.destroy();
    if (error instanceof PostcopyError) throw error;
    throw new PostcopyError('UNREACHABLE', `cannot reach ${peer}: is \`postcopy receive\` running there?`, error);
  }
}

async function readExactly(socket: Socket, bytes: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let have = 0;
  await inTime('no answer', (done, failed) => {
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      have += chunk.length;
      if (have >= bytes) done();
    });
    socket.once('error', failed);
    socket.once('close', () =>
      failed(new PostcopyError('BAD_PEER', 'the other end closed the connection without an answer: it is no postcopy')),
    );
  }).finally(() => {
    socket.removeAllListeners('data');
    socket.removeAllListeners('close');
    socket.removeAllListeners('error');
    socket.pause();
  });
  const all = Buffer.concat(parts);
  if (all.length > bytes) socket.unshift(all.subarray(bytes)); // the first PING, perhaps
  return new Uint8Array(all.subarray(0, bytes));
}

function inTime(tooLate: string, start: (done: () => void, failed: (error: Error) => void) => void): Promise<void> {
  return within(new Promise<void>(start), CONNECT_TIMEOUT_MS, () => {
    throw new PostcopyError('UNREACHABLE', tooLate);
  });
}
