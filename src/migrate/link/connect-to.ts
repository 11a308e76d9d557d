/**
 * A TCP connection to a host that is given by name or address. A name is looked up once, and its addresses are tried in turn;
 * who does not answer at all is tried again, as a first packet may be lost, or a host just coming up.
 */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, PostcopyError } from '../../errors.js';
import { whileWanted } from '../../basics/while-wanted.js';
import { within } from '../../basics/within.js';
import { formatAddress, type Address } from '../../configure/address.js';
import { CONNECT_TIMEOUT_MS } from '../wire/protocol.js';

/** Each address is tried so often, unless it refuses. */
const TRIES = 3;
const PAUSE_MS = 200;
const LOOKUP_TIMEOUT_MS = 10_000;

/** What it needs of the network; a test hands in others. */
interface Network {
  /** IP addresses of a name, the preferred one first. */
  resolve(host: string): Promise<string[]>;
  connect(address: Address): Socket;
}

const NETWORK: Network = {
  resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  connect: (address) => connect(address),
};

/** Throws UNREACHABLE, with what each address said; and at once, with nothing left open, when `signal` is aborted. */
export async function connectTo(address: Address, signal: AbortSignal, network = NETWORK): Promise<Socket> {
  const { host, port } = address;
  const addresses = (await resolved(host, signal, network)).map((ip) => ({ host: ip, port }));
  const said = new Map<string, unknown>();
  for (let round = 0; round < TRIES; round++) {
    if (round > 0) await delay(PAUSE_MS, undefined, { signal });
    for (const candidate of addresses) {
      try {
        return await connectOnce(network.connect(candidate), candidate, signal);
      } catch (error) {
        signal.throwIfAborted();
        said.set(formatAddress(candidate), error);
      }
    }
    if ([...said.values()].every(isRefusal)) break;
  }
  throw unreachable(address, said);
}

async function resolved(host: string, signal: AbortSignal, network: Network): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  let found: string[];
  try {
    found = await whileWanted(signal, within(network.resolve(host), LOOKUP_TIMEOUT_MS, notInTime));
  } catch (error) {
    signal.throwIfAborted();
    throw new PostcopyError('UNREACHABLE', `the host name ${host} cannot be looked up`, error);
  }
  if (found.length === 0) throw new PostcopyError('UNREACHABLE', `the host name ${host} has no address`);
  return found;
}

function notInTime(): never {
  throw new Error(`no answer for ${LOOKUP_TIMEOUT_MS / 1000} s`);
}

async function connectOnce(socket: Socket, address: Address, signal: AbortSignal): Promise<Socket> {
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  try {
    await whileWanted(
      signal,
      within(connected, CONNECT_TIMEOUT_MS, () => {
        throw new Error(`${formatAddress(address)} does not answer`);
      }),
    );
    socket.removeAllListeners('error');
    return socket;
  } catch (error) {
    socket.on('error', () => {}); // late ones, of a connection that no longer matters
    socket.destroy();
    throw error;
  }
}

/** A host that says no is there: to ask again helps nothing. */
function isRefusal(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
}

function unreachable(address: Address, said: Map<string, unknown>): PostcopyError {
  const reasons = [...said.values()];
  const cause = new Error([...new Set(reasons.map(describeError))].join('; '));
  if (reasons.every(isRefusal)) {
    const why = `cannot reach ${formatAddress(address)}: nobody listens there`;
    return new PostcopyError('UNREACHABLE', why, cause, [{ kind: 'nobody-waits' }]);
  }
  const limit = `${TRIES} times ${CONNECT_TIMEOUT_MS / 1000} s at most`;
  const why = `cannot reach ${formatAddress(address)}: no connection came about, tried ${limit}; see whether that host is up, and what firewalls let through`;
  return new PostcopyError('UNREACHABLE', why, cause);
}
