/** Settings of `tc qdisc tbf` (tc-tbf(8)) for a rate. */

/** A TCP packet of 64 KiB as the kernel carries it, with headers: smaller, and tbf would cut each up, at the guest's cost. */
const LEAST_BURST_BYTES = 72 * 1024;
/** At high rates the kernel's timers are not finer than about this: what is due in between goes at once. */
const BURST_MS = 0.1;
/** What a switch port holds. More would let a sender that fills it delay everybody behind it, less would lose packets. */
const QUEUE_MS = 4;

export interface TokenBucket {
  rateBits: number;
  burstBytes: number;
  limitBytes: number;
}

export function tokenBucket(rateBits: number): TokenBucket {
  const bytesPerMs = rateBits / 8 / 1000;
  const burstBytes = Math.max(LEAST_BURST_BYTES, Math.ceil(bytesPerMs * BURST_MS));
  return { rateBits, burstBytes, limitBytes: burstBytes + Math.ceil(bytesPerMs * QUEUE_MS) };
}

/** Bare numbers mean bits a second for the rate, bytes for the others. */
export function tbfWords({ rateBits, burstBytes, limitBytes }: TokenBucket): string[] {
  return ['tbf', 'rate', `${rateBits}bit`, 'burst', String(burstBytes), 'limit', String(limitBytes)];
}
