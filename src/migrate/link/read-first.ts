import type { Socket } from 'node:net';

/** Calls back once with all that has come, when that is enough, and reads no more; what is too much can be put back. */
export function readFirst(socket: Socket, enough: number, then: (first: Buffer) => void): void {
  const parts: Buffer[] = [];
  const take = (part: Buffer): void => {
    parts.push(part);
    const all = Buffer.concat(parts);
    if (all.length < enough) return;
    socket.off('data', take);
    socket.pause();
    then(all);
  };
  socket.on('data', take);
  socket.resume(); // whoever has read before may have paused it
}
