/**
 * One stage of a page's path as a benchmark. A sample is a batch of operations under one reading of the clock; what has
 * to be ready before it and put away after it is done outside: the clock that tinybench is given runs only while the
 * stage does, and counts time per operation. Its hooks before and after each iteration do not reach it through vitest.
 */
import { afterAll, bench } from 'vitest';

/** Samples of each stage. Less than the usual number is a rehearsal: nothing is measured, only run. */
const SAMPLES = Number(process.env['POSTCOPY_MICRO_SAMPLES'] ?? 200);
export const isRehearsal = SAMPLES < 10;

/** Samples before those that count, in which V8 compiles the code. */
const WARM_UP = isRehearsal ? 0 : Math.ceil(SAMPLES / 4);

export interface Stage {
  /** Done once, before the first sample: nothing is held by stages that have not begun. */
  open?(): void;
  /** Before each sample. */
  prepare?(): void;
  /** The sample: timed. */
  run(): void;
  /** After each sample. */
  settle?(): void;
  /** What one call of run() does so many times; figures are of one. */
  operations?: number;
  /** Of the usual number of samples, that share: for what takes long to prepare. */
  share?: number;
}

interface Closable {
  close(): void;
}

const opened: Closable[] = [];
let failure: Error | undefined;

/** The figures of a stage are in milliseconds per operation, as tinybench and vitest have them. */
export function stage(name: string, { open, prepare, run, settle, operations = 1, share = 1 }: Stage): void {
  let milliseconds = 0;
  let isOpen = false;
  const sample = () => {
    // tinybench and vitest pass over errors of a first run; afterAll() tells of this one.
    if (failure !== undefined) return;
    try {
      if (!isOpen) open?.();
      isOpen = true;
      prepare?.();
      const began = performance.now();
      run();
      milliseconds += (performance.now() - began) / operations;
      settle?.();
    } catch (error) {
      failure = new Error(`stage '${name}' failed`, { cause: error });
    }
  };
  bench(name, sample, {
    now: () => milliseconds,
    time: 0,
    iterations: Math.ceil(SAMPLES * share),
    warmupTime: 0,
    warmupIterations: Math.ceil(WARM_UP * share),
  });
}

/** Closed when all stages of the file have run, the youngest first. */
export function closeLater<Resource extends Closable>(resource: Resource): Resource {
  opened.push(resource);
  return resource;
}

afterAll(() => {
  for (const resource of opened.splice(0).reverse()) resource.close();
  const told = failure;
  failure = undefined;
  if (told !== undefined) throw told;
});
