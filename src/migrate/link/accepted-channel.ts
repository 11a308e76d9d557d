import type { Preamble } from '../wire/preamble.js';
import type { TlsSecurity } from './tls.js';

/** A connection whose preamble is read; its answer is the main thread's to give. */
export interface AcceptedChannel {
  preamble: Preamble;
  socketHandle: number;
  /** host:port */
  peer: string;
}

/** What a connection has to say who it is, and to prove it. */
export const GREETING_TIMEOUT_MS = 5000;

/** What the acceptor is given, and tells. */
export interface AcceptorJob {
  listenerHandle: number;
  /** Int32Array of one: not 0 ends the acceptor. */
  stop: SharedArrayBuffer;
}

/** What the acceptor of secured connections is given; any message behind it ends it. */
export interface TlsAcceptorJob {
  /** Its own from now on. */
  listenerFd: number;
  security: TlsSecurity;
}

export type AcceptorNews = { type: 'channel'; channel: AcceptedChannel };
