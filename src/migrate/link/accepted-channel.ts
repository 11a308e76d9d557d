import type { Preamble } from '../wire/preamble.js';

/** A connection whose preamble is read; its answer is the main thread's to give. */
export interface AcceptedChannel {
  preamble: Preamble;
  socketHandle: number;
  /** host:port */
  peer: string;
}

/** What the acceptor is given, and tells. */
export interface AcceptorJob {
  listenerHandle: number;
  /** Int32Array of one: not 0 ends the acceptor. */
  stop: SharedArrayBuffer;
}

export type AcceptorNews = { type: 'channel'; channel: AcceptedChannel };
