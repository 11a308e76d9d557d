/** Opens the control channel to a destination. */
import type { Socket } from 'node:net';
import { whileWanted } from '../../basics/while-wanted.js';
import { within } from '../../basics/within.js';
import { PostcopyError } from '../../errors.js';
import { ControlConnection } from './control-connection.js';
import type { Dialer } from './dialer.js';
import { checkVerdict, encodePreamble, PREAMBLE_BYTES, versionToFallBackTo } from '../wire/preamble.js';
import { FIRST_ANSWER_TIMEOUT_MS, PROTOCOL_VERSION, type ProtocolVersion } from '../wire/protocol.js';

/**
 * Asks in `version`, and again in an older one if the destination wants that. Throws UNREACHABLE if nobody answers, BAD_PEER
 * if it is no postcopy or has no version in common with us, REFUSED if it is busy; and at once, with nothing left open, when
 * `signal` is aborted. `generation`: 0 for the first connection of a migration.
 */
export async function connectControl(
  dialer: Dialer,
  id: Uint8Array,
  signal: AbortSignal,
  version: ProtocolVersion = PROTOCOL_VERSION,
  generation = 0,
): Promise<ControlConnection> {
  const { peer } = dialer;
  const socket = await dialer.connect(signal);
  try {
    socket.write(encodePreamble(version, 'control', 0, id, generation));
    const answer = await readExactly(socket, PREAMBLE_BYTES, peer, signal);
    const older = versionToFallBackTo(answer, version);
    if (older !== undefined) {
      socket.destroy();
      return await connectControl(dialer, id, signal, older, generation);
    }
    checkVerdict(answer, peer, version);
    return new ControlConnection(socket, peer, version, generation > 0);
  } catch (error) {
    socket.on('error', () => {}); // late ones, of a connection that no longer matters
    socket.destroy();
    if (error instanceof PostcopyError) throw error;
    throw new PostcopyError('UNREACHABLE', `the connection to ${peer} broke before it answered`, error);
  }
}

async function readExactly(socket: Socket, bytes: number, peer: string, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let have = 0;
  const answered = new Promise<void>((done, failed) => {
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      have += chunk.length;
      if (have >= bytes) done();
    });
    socket.once('error', failed);
    socket.once('close', () =>
      failed(new PostcopyError('BAD_PEER', `${peer} closed the connection without an answer: it is no postcopy`)),
    );
  });
  try {
    await whileWanted(
      signal,
      within(answered, FIRST_ANSWER_TIMEOUT_MS, () => noAnswer(peer)),
    );
  } finally {
    socket.removeAllListeners('data');
    socket.removeAllListeners('close');
    socket.removeAllListeners('error');
    socket.pause();
  }
  const all = Buffer.concat(parts);
  if (all.length > bytes) socket.unshift(all.subarray(bytes)); // the first PING, perhaps
  return new Uint8Array(all.subarray(0, bytes));
}

/** The main thread of a busy host may take long to its answer: that a connection is taken means that somebody is there. */
function noAnswer(peer: string): never {
  throw new PostcopyError(
    'UNREACHABLE',
    `${peer} took the connection, and has not answered for ${FIRST_ANSWER_TIMEOUT_MS / 1000} s: something else than ` +
      'postcopy listens there, or that host is too busy to answer',
  );
}
