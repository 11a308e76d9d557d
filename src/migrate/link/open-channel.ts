/** Connects one page channel to the destination. Runs on the channel's worker: it waits for the network. */
import { formatAddress } from '../../configure/address.js';
import { PostcopyError } from '../../errors.js';
import { native, type Socket } from '../../native.js';
import { askForRelay, type Route } from './dialer.js';
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

/** A relay's TCP connection is the relay's to set up. */
function connect({ host, port, line }: Route): Socket {
  if (line !== undefined) return new native.Socket('adopt', askForRelay(line).mine);
  const socket = new native.Socket('connect', host, port, CONNECT_TIMEOUT_MS);
  try {
    socket.configure({ noDelay: 1, userTimeoutMs: HANDED_OVER_LINK_TIMEOUT_MS });
    preferCongestion(socket);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
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
