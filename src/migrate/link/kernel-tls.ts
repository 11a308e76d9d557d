/**
 * Page channels by the kernel's TLS (kTLS), where it has it: Node makes the handshake and hears the first words, then the
 * connection is taken from it, and the kernel encrypts what is written straight from guest RAM. Where it has not, Relays do it
 * (relay.ts). Neither end needs to know which the other one does.
 *
 * For the kernel to go on, Node must have sent and received whole records, so many of them, and no more. So the ends
 * take turns: the destination sends LET_IN, the source its preamble, the destination its verdict. What may come in between
 * are tickets for sessions that are not resumed here: Node tells of those that it has seen, and what receives pages
 * passes over the others (native/socket/stream.cc).
 */
import type { TLSSocket } from 'node:tls';
import { native } from '../../native.js';
import { TrafficKeys } from './traffic-keys.js';

/** Records that have passed since the handshake; the next one has this number. */
export interface Passed {
  sent: number;
  received: number;
}

let works: boolean | undefined;

/** Asked once: what a kernel can does not change much. */
function kernelHasTls(): boolean {
  return (works ??= native.tryKernelTls());
}

/** What is needed of one connection to take it over; it listens from the handshake on. */
export class KernelTls {
  readonly #keys = new TrafficKeys();
  /** Tickets that this end has sent or received. */
  tickets = 0;

  constructor(readonly end: 'client' | 'server') {}

  hear(line: Buffer): void {
    this.#keys.hear(line);
  }

  /**
   * Takes the connection from Node; the caller's is the descriptor, on which everything is plain. Undefined, with nothing
   * changed, if it cannot be taken.
   */
  take(secure: TLSSocket, { sent, received }: Passed): number | undefined {
    const [client, server] = [this.#keys.of('CLIENT'), this.#keys.of('SERVER')];
    const { fd = -1 } = (secure as unknown as { _handle?: { fd?: number } | null })._handle ?? {};
    if (client === undefined || server === undefined || fd < 0 || !kernelHasTls()) return undefined;
    const taken = native.duplicateFd(fd);
    // Node closes its own descriptor, without a word to the other end.
    secure.destroy();
    try {
      if (this.end === 'client') native.encryptInKernel(taken, client, sent, server, received);
      else native.encryptInKernel(taken, server, sent, client, received);
      return taken;
    } catch (error) {
      native.closeFd(taken);
      throw error;
    }
  }
}
