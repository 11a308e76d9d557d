/** Connects one page channel to the destination. Runs on the channel's worker: it waits for the network. */
import { formatAddress } from '../../configure/address.js';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { askForRelay, FD_BYTES, RELAYED, TAKES_FD, type Route } from './dialer.js';
import { checkVerdict, encodePreamble, PREAMBLE_BYTES, type Channel } from '../wire/preamble.js';
import { CONNECT_TIMEOUT_MS, HANDED_OVER_LINK_TIMEOUT_MS, type ProtocolVersion } from '../wire/protocol.js';

/**
 * The push limits itself to what its acknowledgements say (push-depth.ts). A congestion control that paces, as BBR does,
 * only adds timers to that: over loopback it takes a quarter more CPU for the same bytes.
 */
const CONGESTION = 'cubic';

/** A destination, and what it knows the migration by. */
export interface MigrationAddress extends Route {
  /** Migration id. */
  id: Uint8Array;
  version: ProtocolVersion;
  /** Of the connections of a migration; 0 for the first. */
  generation: number;
}

export interface ChannelAddress extends MigrationAddress {
  channel: Channel;
  index: number;
}

export function openChannel(address: ChannelAddress): Socket {
  const { id, version, generation, channel, index } = address;
  const peer = formatAddress(address);
  const socket = connect(address);
  try {
    socket.send(encodePreamble(version, channel, index, id, generation), 0, PREAMBLE_BYTES);
    const answer = new Uint8Array(PREAMBLE_BYTES);
    if (socket.receive(answer, 0, PREAMBLE_BYTES, PREAMBLE_BYTES, CONNECT_TIMEOUT_MS) < PREAMBLE_BYTES) {
      throw new PostcopyError('UNREACHABLE', `${peer} closed the ${channel} channel`);
    }
    checkVerdict(answer, peer, version);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function connect(route: Route): Socket {
  const socket = route.line === undefined ? connectPlainly(route) : connectSecurely(route, route.line);
  try {
    socket.configure({ noDelay: 1, userTimeoutMs: HANDED_OVER_LINK_TIMEOUT_MS });
    preferCongestion(socket);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function connectPlainly({ host, port }: Route): Socket {
  return new native.Socket('connect', host, port, CONNECT_TIMEOUT_MS);
}

/** A connection that the kernel encrypts, or the end of a relay, whose TCP connection is the relay's to set up. */
function connectSecurely(route: Route, line: number): Socket {
  const local = new native.Socket('adopt', askForRelay(line, TAKES_FD).mine);
  let relayed = false;
  try {
    const said = new Uint8Array(FD_BYTES);
    if (local.receive(said, 0, FD_BYTES, FD_BYTES, CONNECT_TIMEOUT_MS) < FD_BYTES) {
      throw new PostcopyError('UNREACHABLE', `no page channel to ${formatAddress(route)} came about`);
    }
    const fd = new DataView(said.buffer).getUint32(0, true);
    relayed = fd === RELAYED;
    return relayed ? local : new native.Socket('adopt', fd);
  } finally {
    if (!relayed) local.close();
  }
}

/** A host may lack it, or keep it from those who are not root: its own will do. */
function preferCongestion(socket: Socket): void {
  try {
    socket.configure({ congestion: CONGESTION });
  } catch {
    // slower, not wrong
  }
}
