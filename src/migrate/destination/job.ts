import type { PlannedChannel } from '../link/worker-plan.js';

/** What the destination's page workers are given. All of it can cross threads. */
export interface DestinationJob {
  /** The most urgent one first. */
  channels: DestinationChannelJob[];
  memoryHandle: number;
  userfaultfdHandle: number;
  pages: number;
  /** PageBitmap of pages that the source has and we have not: the only authority on what is installed. */
  missing: SharedArrayBuffer;
  /** Int32Array of one: pages still missing. Whoever brings it to zero tells 'all-installed'. */
  left: SharedArrayBuffer;
  /** PendingFaults. */
  pending: SharedArrayBuffer;
  /** GoSignal. */
  signal: SharedArrayBuffer;
}

export interface DestinationChannelJob {
  kind: PlannedChannel['kind'];
  socketHandle: number;
  /** Counters and WaitHistogram of this channel. */
  counters: SharedArrayBuffer;
  waits: SharedArrayBuffer;
}
