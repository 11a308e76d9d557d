/** What a replay is reckoned with: the link, and how long both ends take for what they do. Times in microseconds. */
export interface Model {
  /** Bits a second, each way; Infinity if only the ends take time. */
  rateBits: number;
  roundTrip: number;
  /** CPUs of each host: where they are few, one worker of each end serves faults and the push in turn. */
  cpus: number;
  costs: Costs;
}

export interface Costs {
  /** Until a thread that sleeps runs. */
  wakeUp: number;
  /** Destination: a fault is read and its page asked for; a page that was asked for is installed, and its vCPU woken. */
  fault: number;
  install: number;
  /** Source: a request is answered. */
  answer: number;
  /** What goes out at once, each extent of it, and each page of those, at the source and at the destination. */
  sendBatch: number;
  sendExtent: number;
  sendPage: number;
  installBatch: number;
  installExtent: number;
  installPage: number;
}

/**
 * Estimates, in the range of what the micro benchmarks show on the machines that this is developed on (2 cores, Linux 6.18).
 * No run has been compared with its replay yet.
 */
export const COSTS: Costs = {
  wakeUp: 25,
  fault: 12,
  install: 12,
  answer: 12,
  sendBatch: 6,
  sendExtent: 4,
  sendPage: 0.7,
  installBatch: 6,
  installExtent: 8,
  installPage: 0.6,
};
