/** The TCP side of a relayed connection: whoever has the other side cannot see it. */
import type { Socket } from 'node:net';
import { native } from '../../native.js';
import { HANDED_OVER_LINK_TIMEOUT_MS } from '../wire/protocol.js';

/** What is sent goes out at once; and is given up as it is on a page channel without a relay (open-channel.ts). */
export function boundTcp(socket: Socket): void {
  socket.setNoDelay(true);
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } };
  if (handle?.fd === undefined || handle.fd < 0) return;
  const borrowed = new native.Socket('adopt', handle.fd);
  try {
    borrowed.configure({ userTimeoutMs: HANDED_OVER_LINK_TIMEOUT_MS });
  } finally {
    borrowed.detachFd(); // it stays Node's
  }
}
