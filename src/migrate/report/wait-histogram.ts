/**
 * Fault waits in shared memory: log-linear buckets, 16 to an octave, so a percentile is exact to 6 %. Each writer thread
 * has one of its own; they are added up at the end. Microseconds.
 */
const SUB_BITS = 4;
const SUB_BUCKETS = 1 << SUB_BITS;
const OCTAVES = 32;
const BUCKETS = OCTAVES * SUB_BUCKETS;
const COUNT = BUCKETS;
const SUM = BUCKETS + 1;
const MAX = BUCKETS + 2;
const WORDS = BUCKETS + 3;

export interface WaitSummary {
  count: number;
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export class WaitHistogram {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Float64Array;

  constructor(buffer = new SharedArrayBuffer(WORDS * 8)) {
    this.buffer = buffer;
    this.#cells = new Float64Array(buffer);
  }

  record(micros: number): void {
    const cells = this.#cells;
    cells[bucketOf(micros)]! += 1;
    cells[COUNT]! += 1;
    cells[SUM]! += micros;
    if (micros > cells[MAX]!) cells[MAX] = micros;
  }

  add(other: WaitHistogram): void {
    for (let i = 0; i < WORDS; i++) {
      if (i !== MAX) this.#cells[i]! += other.#cells[i]!;
    }
    this.#cells[MAX] = Math.max(this.#cells[MAX]!, other.#cells[MAX]!);
  }

  get count(): number {
    return this.#cells[COUNT]!;
  }

  /** Microseconds, all waits together. */
  get sum(): number {
    return this.#cells[SUM]!;
  }

  summary(): WaitSummary {
    const count = this.count;
    return {
      count,
      mean: count === 0 ? 0 : this.sum / count,
      p50: this.#percentile(0.5),
      p90: this.#percentile(0.9),
      p99: this.#percentile(0.99),
      max: this.#cells[MAX]!,
    };
  }

  /** Upper end of the bucket in which that share of the waits is reached, the maximum at most. */
  #percentile(share: number): number {
    let left = this.count * share;
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#cells[i]!;
      if (left <= 0 && this.#cells[i]! > 0) return Math.min(upperEnd(i), this.#cells[MAX]!);
    }
    return 0;
  }
}

/** Values below 16 have a bucket each; above, the four bits below the highest pick one of 16 in its octave. */
function bucketOf(micros: number): number {
  const value = Math.min(0x7fffffff, Math.max(0, Math.floor(micros)));
  if (value < SUB_BUCKETS) return value;
  const octave = 31 - Math.clz32(value);
  return (octave - SUB_BITS + 1) * SUB_BUCKETS + ((value >>> (octave - SUB_BITS)) & (SUB_BUCKETS - 1));
}

function upperEnd(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket + 1;
  const octave = Math.floor(bucket / SUB_BUCKETS) + SUB_BITS - 1;
  return (SUB_BUCKETS + (bucket % SUB_BUCKETS) + 1) * 2 ** (octave - SUB_BITS);
}
