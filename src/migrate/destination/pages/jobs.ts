/** What the destination's page workers are given. All of it can cross threads. */
export interface DestinationJob {
  memoryHandle: number;
  userfaultfdHandle: number;
  socketHandle: number;
  pages: number;
  /** PageBitmap of pages that the source has and we have not: the only authority on what is installed. */
  missing: SharedArrayBuffer;
  /** Int32Array of one: pages still missing. Whoever brings it to zero reports ALL_INSTALLED. */
  left: SharedArrayBuffer;
  /** PendingFaults. */
  pending: SharedArrayBuffer;
  /** LinkSwitch. */
  link: SharedArrayBuffer;
  /** Counters and WaitHistogram, this worker's own. */
  counters: SharedArrayBuffer;
  waits: SharedArrayBuffer;
}

export const ALL_INSTALLED = 'all-installed';
