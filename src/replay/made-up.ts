/**
 * Traces of guests that are made up, the same for the same seed: patterns that a policy must not do badly on. Times are of
 * vCPUs that do something else between two accesses, as guests do: one that touches memory as fast as it can waits for
 * all of it under any policy.
 */
import { PostcopyError } from '../errors.js';
import { PageBitmap } from '../memory/page-bitmap.js';
import type { Trace } from '../migrate/prefetch/trace.js';
import { Random } from './random.js';
import { Touches } from './touches.js';

export interface Shape {
  pages: number;
  vcpus: number;
  /** Accesses a second of each vCPU. */
  rate: number;
  seed: number;
  /** What is looked at of its life. */
  micros: number;
}

/** What is known of a guest that nobody has run: what it touches from the stop on, and what it has written just before. */
export interface MadeUpTrace extends Trace {
  /** In the spans of the last two seconds, the oldest first, as a dirty log would have told them: [first page, pages] pairs. */
  written: readonly Uint32Array[];
}

/** As `migrate --prefetch recent` watches a guest. */
const WATCHED_MICROS = 2_000_000;
const WATCHED_SPANS = 8;

type Pattern = (shape: Shape, random: Random) => MadeUpTrace;

/** Each access to a page at random. */
const uniform: Pattern = (shape, random) => accesses(shape, random, () => random.below(shape.pages));

/** Nine of ten accesses go to one of ten pages, and those lie in runs of 16, as with the guest of the trials. */
const HOT_RUN = 16;
const hotCold: Pattern = (shape, random) => {
  const runs = Math.floor(shape.pages / (10 * HOT_RUN));
  return accesses(shape, random, () => {
    if (random.below(10) === 0) return random.below(shape.pages);
    return random.below(runs) * 10 * HOT_RUN + random.below(HOT_RUN);
  });
};

/** Two streams a vCPU, which begin anywhere; some go down, some in steps of three pages. */
const STREAM_STEPS = [1, 1, -1, 3];
const streams: Pattern = (shape, random) => {
  const { pages, vcpus } = shape;
  const at = Array.from({ length: 2 * vcpus }, () => random.below(pages));
  const turns = new Uint32Array(vcpus);
  return accesses(shape, random, (vcpu) => {
    const stream = 2 * vcpu + ((turns[vcpu] = (turns[vcpu] as number) + 1) % 2);
    const step = STREAM_STEPS[stream % STREAM_STEPS.length] as number;
    return (at[stream] = ((at[stream] as number) + step + pages) % pages);
  });
};

/** Lists whose nodes lie anywhere in a quarter of the memory, so that each step is to a page not seen before. */
const pointerChase: Pattern = (shape, random) => {
  const { pages } = shape;
  const nodes = Uint32Array.from({ length: Math.floor(pages / 4) }, (_, i) => 4 * i);
  for (let i = nodes.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [nodes[i], nodes[other]] = [nodes[other] as number, nodes[i] as number];
  }
  let next = 0;
  return accesses(shape, random, () => nodes[next++ % nodes.length] as number);
};

/**
 * A heap with generations: a nursery of a sixteenth that is filled from its start to its end, again and again; each time a
 * part of the old objects is scanned in order; and in between, objects are read that are old, most of them of few places.
 */
const OLD_PLACES = 64;
const generations: Pattern = (shape, random) => {
  const { pages, vcpus } = shape;
  const nursery = Math.floor(pages / 16);
  const old = pages - nursery;
  const places = Array.from({ length: OLD_PLACES }, () => nursery + random.below(old - 64));
  const scanned = Math.floor(nursery / 2);
  let filled = random.below(nursery);
  let scan = random.below(old);
  let toScan = 0;
  return accesses(shape, random, (vcpu) => {
    if (toScan > 0 && vcpu === vcpus - 1) {
      toScan--;
      return nursery + (scan++ % old);
    }
    const what = random.below(10);
    if (what < 4) {
      if (++filled % nursery === 0) toScan = scanned;
      return filled % nursery;
    }
    if (what < 9) return (places[random.below(OLD_PLACES)] as number) + random.below(64);
    return nursery + random.below(old);
  });
};

/** All vCPUs access pages in turn, each at its rate and by its own time; one of two accesses writes. */
function accesses(shape: Shape, random: Random, pageFor: (vcpu: number) => number): MadeUpTrace {
  const { pages, vcpus, rate, micros } = shape;
  const touches = new Touches(pages);
  const mean = 1e6 / (rate * vcpus);
  const written: PageBitmap[] = [];
  let time = random.gap(mean) - WATCHED_MICROS;
  for (; time < 0; time += random.gap(mean)) {
    const span = Math.floor((1 + time / WATCHED_MICROS) * WATCHED_SPANS);
    const page = pageFor(random.below(vcpus));
    if (random.below(2) === 0) (written[span] ??= new PageBitmap(pages)).set(page);
  }
  // In the order of time, of all of them together.
  for (; time < micros; time += random.gap(mean)) {
    const vcpu = random.below(vcpus);
    touches.add(time, vcpu, pageFor(vcpu));
    if (touches.count === pages) break;
  }
  return { ...touches.trace(vcpus), written: written.map((span) => span.extents()) };
}

const PATTERNS: Readonly<Record<string, { make: Pattern; rate: number }>> = {
  uniform: { make: uniform, rate: 3000 },
  'hot-cold': { make: hotCold, rate: 3000 },
  streams: { make: streams, rate: 2500 },
  'pointer-chase': { make: pointerChase, rate: 1000 },
  generations: { make: generations, rate: 5000 },
};

export const MADE_UP = Object.keys(PATTERNS);

/** 256 MiB, for ten seconds. */
const USUAL = { pages: 65_536, vcpus: 4, seed: 1, micros: 10_000_000 };

/** Throws BAD_CONFIG if there is none of this name. */
export function madeUpTrace(name: string, shape: Partial<Shape> = {}): MadeUpTrace {
  const pattern = PATTERNS[name];
  if (pattern === undefined) throw new PostcopyError('BAD_CONFIG', `'${name}' is none of ${MADE_UP.join(', ')}`);
  const whole = { ...USUAL, rate: pattern.rate, ...shape };
  return pattern.make(whole, new Random(whole.seed));
}
