import { POLLRDHUP, type Socket } from '../../native.js';
import { PollSet } from '../../threads/poll-set.js';

/**
 * False if the kernel knows that one of the connections is closed or broken. A page worker finds out in its turn, which on
 * a busy host may come after the hand-over.
 */
export function allOpen(sockets: readonly Socket[]): boolean {
  const set = new PollSet();
  for (const { fd } of sockets) set.add(fd, POLLRDHUP);
  return !set.wait(0);
}
