import type { SourcePages } from '../../memory/page-states.js';
import type { NativeMemory, Socket } from '../../native.js';
import type { FaultTrail } from '../prefetch/fault-trail.js';
import type { RecentPages } from '../prefetch/recent-pages.js';
import type { RateLimit } from '../flow/rate-limit.js';
import type { Counters } from '../report/counters.js';
import type { GoSignal } from '../../threads/go-signal.js';
import type { RoundSignal } from './round-signal.js';
import type { SentPages } from './sent-pages.js';

/** What one channel of the source works with, on its worker. */
export interface SourceChannel {
  memory: NativeMemory;
  socket: Socket;
  /** Of all channels: whoever claims a page sends it. */
  pages: SourcePages;
  /** What the destination asked for. */
  trail: FaultTrail;
  /** Where the guest has written lately. */
  recent: RecentPages;
  signal: GoSignal;
  rounds: RoundSignal;
  counters: Counters;
  /** Of all bulk channels together. */
  limit: RateLimit;
  sent: SentPages;
  /** The destination can be told of pages that are lost to a memory error; otherwise they are never sent. */
  tellsLost: boolean;
}

/** Gives acknowledged pages back; not before the hand-over, until which the guest may still go on here. */
export function releaseReceived({ signal, sent, counters }: SourceChannel): void {
  if (!signal.handedOver) return;
  sent.release();
  counters.set('released', sent.released);
}
