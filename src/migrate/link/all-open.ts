import { native, POLLRDHUP, type Socket } from '../../native.js';

/**
 * False if the kernel knows that one of the connections is closed or broken. A page worker finds out in its turn, which on
 * a busy host may come after the hand-over.
 */
export function allOpen(sockets: readonly Socket[]): boolean {
  const set = new Int32Array(sockets.flatMap(({ fd }) => [fd, POLLRDHUP, 0]));
  return native.poll(set, sockets.length, 0) === 0;
}
