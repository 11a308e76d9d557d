/** Opens the control channel to a destination. */
import { connect, type Socket } from 'node:net';
import { within } from '../../basics/within.js';
import { PostcopyError } from '../../errors.js';
import { ControlConnection } from './control-connection.js';
import { checkVerdict, encodePreamble, PREAMBLE_BYTES, versionToFallBackTo } from '../wire/preamble.js';
import { CONNECT_TIMEOUT_MS, PROTOCOL_VERSION, type ProtocolVersion } from '../wire/protocol.js';

/**
 * Asks in `version`, and again in an older one if the destination wants that. Throws UNREACHABLE if nobody answers, BAD_PEER
 * if it is no postcopy or has no version in common with us, REFUSED if it is busy; and at once, with nothing left open, when
 * `signal` is aborted.
 */
export async function connectControl(
  address: { host: string; port: number },
  id: Uint8Array,
  signal: AbortSignal,
  version: ProtocolVersion = PROTOCOL_VERSION,
): Promise<ControlConnection> {
  const { host, port } = address;
  const peer = `${host}:${port}`;
  const socket = connect({ host, port });
  try {
    await inTime(signal, `${peer} does not answer`, (done, failed) => {
      socket.once('connect', done);
      socket.once('error', failed);
    });
    socket.write(encodePreamble(version, 'control', 0, id));
    const answer = await readExactly(socket, PREAMBLE_BYTES, signal);
    const older = versionToFallBackTo(answer, version);
    if (older !== undefined) {
      socket.destroy();
      return await connectControl(address, id, signal, older);
    }
    checkVerdict(answer, peer, version);
    return new ControlConnection(socket, peer, version);
  } catch (error) {
    socket.on('error', () => {}); // late ones, of a connection that no longer matters
    socket.destroy();
    if (error instanceof PostcopyError) throw error;
    const why = `cannot reach ${peer}: see whether a VM is waited for there`;
    throw new PostcopyError('UNREACHABLE', why, error, [{ kind: 'nobody-waits' }]);
  }
}

async function readExactly(socket: Socket, bytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let have = 0;
  await inTime(signal, 'no answer', (done, failed) => {
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

async function inTime(
  signal: AbortSignal,
  tooLate: string,
  start: (done: () => void, failed: (error: Error) => void) => void,
): Promise<void> {
  signal.throwIfAborted();
  let abort = () => {};
  const started = new Promise<void>((resolve, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort);
    start(resolve, reject);
  });
  try {
    await within(started, CONNECT_TIMEOUT_MS, () => {
      throw new PostcopyError('UNREACHABLE', tooLate);
    });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
