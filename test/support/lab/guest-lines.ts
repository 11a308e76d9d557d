/** What the lab's guest (test/fixtures/lab-guest) prints on its serial console, besides the kernel. */
export interface Tick {
  number: number;
  /** /proc/uptime, milliseconds, in steps of 10. */
  uptimeMs: number;
  /** CLOCK_REALTIME, milliseconds. */
  realMs: number;
  /** CLOCK_MONOTONIC, milliseconds. */
  monotonicMs: number;
  /** Online CPUs. */
  cpus: number;
  /** Times that all pattern memory was checked and rewritten. */
  passes: number;
  /** Words that did not hold what was written. */
  errors: number;
  /** Where its line ends in the text. */
  end: number;
}

const TICK = /LAB tick n=(\d+) up=(\d+) real=(\d+) mono=(\d+) cpus=(\d+) pass=(\d+) err=(\d+)\r?\n/g;

/** All whole tick lines in `text`, in order. */
export function parseTicks(text: string): Tick[] {
  return Array.from(text.matchAll(TICK), (match) => {
    const [number = NaN, uptimeMs = NaN, realMs = NaN, monotonicMs = NaN, cpus = NaN, passes = NaN, errors = NaN] =
      match.slice(1).map(Number);
    return { number, uptimeMs, realMs, monotonicMs, cpus, passes, errors, end: match.index + match[0].length };
  });
}

/** The tick that the next one in number does not follow; undefined if all are there, once and in order. */
export function firstGap<T extends Tick>(ticks: readonly T[]): T | undefined {
  return ticks.find((tick, index) => index + 1 < ticks.length && ticks[index + 1]!.number !== tick.number + 1);
}

export interface PatternReport {
  passes: number;
  pages: number;
  errors: number;
  /** The line, which tells the first bad word. */
  line: string;
}

function valueIn(line: string, name: string): number {
  return Number(new RegExp(`\\b${name}=(\\d+)`).exec(line)?.[1] ?? NaN);
}

export function parseReport(line: string): PatternReport {
  const value = (name: string): number => valueIn(line, name);
  return { passes: value('passes'), pages: value('pages'), errors: value('errors'), line };
}

/** The guest's account of the file it keeps. */
export interface DiskReport {
  passes: number;
  /** Checked, rewritten and flushed. */
  blocks: number;
  errors: number;
  /** System calls that failed. */
  failures: number;
  slowestMs: number;
  line: string;
}

export function parseDiskReport(line: string): DiskReport {
  const value = (name: string): number => valueIn(line, name);
  const [passes, blocks, slowestMs] = [value('passes'), value('blocks'), value('slowest')];
  return { passes, blocks, errors: value('errors'), failures: value('failures'), slowestMs, line };
}

/** The guest's account of its connection with the peer. */
export interface StreamReport {
  open: boolean;
  received: number;
  errors: number;
  line: string;
}

export function parseStreamReport(line: string): StreamReport {
  const value = (name: string): number => valueIn(line, name);
  return { open: value('open') === 1, received: value('received'), errors: value('errors'), line };
}

/** The guest's account of the registers that it holds. */
export interface RegistersReport {
  /** As in XCR0: 7 is x87, SSE and AVX. */
  components: number;
  /** Looks at all of them; of the CPU that has made the fewest. */
  checks: number;
  /** Bytes that were not what was loaded. */
  errors: number;
  line: string;
}

export function parseRegistersReport(line: string): RegistersReport {
  const value = (name: string): number => valueIn(line, name);
  return { components: value('components'), checks: value('checks'), errors: value('errors'), line };
}

/** The guest's account of the clocks that it watches. */
export interface ClocksReport {
  readings: number;
  /** Those of the CPU that has made the fewest. */
  slowest: number;
  /** Readings below one that any CPU had taken before. */
  steps: number;
  /** How much longer than asked for the longest sleep since the report before has been. */
  lateMs: number;
}

export function parseClocksReport(line: string): ClocksReport {
  const value = (name: string): number => valueIn(line, name);
  return { readings: value('readings'), slowest: value('slowest'), steps: value('steps'), lateMs: value('late') };
}

/** A tick, and when it arrived here (this machine's monotonic clock, milliseconds). */
export interface TimedTick extends Tick {
  arrivedMs: number;
}

export interface ClockShift {
  uptimeMs: number;
  realMs: number;
  monotonicMs: number;
}

/**
 * By how much each clock of the guest went ahead (or, negative, fell behind) against this machine's, from one run of
 * ticks to a later one. A tick may arrive late, never early, so the least late one of each run is taken: on a busy
 * machine the ticks themselves say little.
 */
export function clockShift(before: readonly TimedTick[], after: readonly TimedTick[]): ClockShift {
  const shift = (clock: (tick: Tick) => number): number => {
    const leastLate = (ticks: readonly TimedTick[]): number =>
      Math.min(...ticks.map((tick) => tick.arrivedMs - clock(tick)));
    return Math.round(leastLate(before) - leastLate(after));
  };
  return {
    uptimeMs: shift((tick) => tick.uptimeMs),
    realMs: shift((tick) => tick.realMs),
    monotonicMs: shift((tick) => tick.monotonicMs),
  };
}

/** True if some clock of the guest went back. */
export function clockWentBack(ticks: readonly Tick[]): boolean {
  return ticks.some((tick, index) => {
    const before = ticks[index - 1];
    if (before === undefined) return false;
    return tick.uptimeMs < before.uptimeMs || tick.realMs < before.realMs || tick.monotonicMs < before.monotonicMs;
  });
}
