import type { DestinationMaps } from '../../memory/page-states.js';
import type { PlannedChannel } from '../link/worker-plan.js';
import type { RoundsMaps } from './rounds.js';

/** What the destination's page workers are given. All of it can cross threads. */
export interface DestinationJob {
  /** The most urgent one first. */
  channels: DestinationChannelJob[];
  memoryHandle: number;
  userfaultfdHandle: number;
  pages: number;
  /** DestinationPages. Whoever installs the last page tells 'all-installed'. */
  maps: DestinationMaps;
  /** Rounds, where pages may come before the hand-over. */
  rounds: RoundsMaps | undefined;
  /** PendingFaults. */
  pending: SharedArrayBuffer;
  /** GoSignal, and the descriptor that is readable once it is stopped. */
  signal: SharedArrayBuffer;
  wakeFd: number;
}

export interface DestinationChannelJob {
  kind: PlannedChannel['kind'];
  socketHandle: number;
  /** Counters and WaitHistogram of this channel. */
  counters: SharedArrayBuffer;
  waits: SharedArrayBuffer;
}
