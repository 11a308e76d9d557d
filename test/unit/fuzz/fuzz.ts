/**
 * What every fuzz target is made of. In the suites a target runs for a moment, always with the same seed, so that what fails is
 * the change at hand; scripts/fuzz gives inputs and a seed, and has each target write down how many it took.
 */
import { appendFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import { describeError, PostcopyError } from '../../../src/errors.js';

/** What scripts/fuzz asks for: inputs of each target, whatever time they take. */
const INPUTS = Number(process.env['POSTCOPY_FUZZ_INPUTS'] ?? 0);
const SEED = Number(process.env['POSTCOPY_FUZZ_SEED'] ?? 1);
/** A line of each target's goes there: inputs, seconds, name. */
const REPORT = process.env['POSTCOPY_FUZZ_REPORT'];

/** Of each property in the suites. A failure is reported with the seed and path to repeat it. */
const FUZZ_MS = 500;
/** For tests that fuzz: runs are interrupted between two of them, and a busy host is slow at the first. */
export const FUZZ_TIMEOUT_MS = INPUTS > 0 ? 2 ** 31 - 1 : 60_000;

/** What an error of ours may say: it goes to terminals and logs, and a stranger may have caused it. */
const MESSAGE_LENGTH_MAX = 8 * 1024;

/** As many runs as fit into the time, or as many as were asked for. */
export function fuzz<T>(property: fc.IProperty<T>): void {
  const since = performance.now();
  judge(fc.check(property, parameters<T>()) as fc.RunDetails<T>, since);
}

/** The same of a property that is asynchronous. */
export async function fuzzAsync<T>(property: fc.IAsyncProperty<T>): Promise<void> {
  const since = performance.now();
  judge(await fc.check(property, parameters<T>()), since);
}

function parameters<T>(): fc.Parameters<T> {
  if (INPUTS > 0) return { numRuns: INPUTS, seed: SEED };
  return { numRuns: 10_000_000, seed: SEED, interruptAfterTimeLimit: FUZZ_MS, markInterruptAsFailure: false };
}

function judge<T>(details: fc.RunDetails<T>, since: number): void {
  if (details.failed) throw new Error(fc.defaultReportMessage(details));
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  const name = expect.getState().currentTestName ?? '';
  if (REPORT !== undefined) appendFileSync(REPORT, `${details.numRuns}\t${seconds}\t${name}\n`);
}

/** Runs it; whatever it throws is a PostcopyError with a message. What it gives, or undefined. */
export function onlyPostcopyError<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    requirePostcopyError(error);
    return undefined;
  }
}

/** Throws what is none, or says nothing, or far too much. */
export function requirePostcopyError(error: unknown): void {
  if (!(error instanceof PostcopyError)) throw error;
  const text = describeError(error);
  if (error.message === '' || text.length > MESSAGE_LENGTH_MAX) {
    throw new Error(`a text of ${text.length} characters: ${text.slice(0, 200)}`);
  }
}

const WORDS = [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff];

/** A few bytes: any, or a number at the edge of its range. */
const piece = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 8 }),
  fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(1, 2, 4, 8)).map(([word, size]) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(word);
    return bytes.subarray(0, size);
  }),
);

/** Bytes of `file` changed here and there, and perhaps cut off. */
export function mutations(file: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat(Math.min(file.length, 0x400) - 1);
  const length = fc.oneof({ weight: 4, arbitrary: fc.constant(file.length) }, fc.nat(file.length));
  return fc.tuple(fc.array(fc.tuple(at, piece), { maxLength: 4 }), length).map(([changes, end]) => {
    const copy = Uint8Array.from(file);
    for (const [offset, bytes] of changes) copy.set(bytes.subarray(0, copy.length - offset), offset);
    return copy.subarray(0, end);
  });
}

type Change = (bytes: Buffer, place: number) => Buffer;

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: piece.map(
      (put): Change =>
        (bytes, at) =>
          overwrite(bytes, at, put),
    ),
  },
  fc.nat(7).map(
    (bit): Change =>
      (bytes, at) =>
        overwrite(bytes, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << bit))),
  ),
  piece.map(
    (put): Change =>
      (bytes, at) =>
        Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at)]),
  ),
  fc.nat(64).map(
    (n): Change =>
      (bytes, at) =>
        Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + n)]),
  ),
  fc.nat(64).map(
    (n): Change =>
      (bytes, at) =>
        Buffer.concat([bytes.subarray(0, at + n), bytes.subarray(at)]),
  ),
  fc.constant<Change>((bytes, at) => bytes.subarray(0, at)),
);

function overwrite(bytes: Buffer, at: number, put: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy.set(put.subarray(0, Math.max(0, copy.length - at)), Math.min(at, copy.length));
  return copy;
}

/** A few of the samples one behind the other, each with bytes that are changed, put in, left out or doubled; or any bytes. */
export function bytesLike(samples: readonly Uint8Array[], most = 3): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(0xffff), change), { maxLength: 3 });
  const changed = fc.tuple(fc.constantFrom(...samples), changes).map(([sample, all]) => {
    let bytes: Buffer = Buffer.from(sample.buffer, sample.byteOffset, sample.byteLength);
    for (const [place, apply] of all) bytes = apply(bytes, place % (bytes.length + 1));
    return bytes;
  });
  const joined = fc
    .array(changed, { minLength: 1, maxLength: most })
    .map((parts) => new Uint8Array(Buffer.concat(parts)));
  return fc.oneof({ weight: 9, arbitrary: joined }, fc.uint8Array({ maxLength: 100 }));
}

/** Where a stream is cut into pieces. */
export const cuts = fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 8 });

/** The pieces, as long as these say in turn; in one piece if they say nothing. */
export function* pieces(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i] ?? bytes.length;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** This state with fields changed, and anything at all. */
export function statesLike(state: object): fc.Arbitrary<unknown> {
  const value = fc.oneof(
    fc.anything(),
    fc.integer({ min: -1, max: 257 }),
    fc.constantFrom(65536, 2 ** 32, 2 ** 53, -(2 ** 53), 1e300, 0.5, NaN, Infinity),
    fc.uint8Array({ maxLength: 64 }),
  );
  const field = fc.tuple(fc.nat(200), value);
  const changes = fc
    .array(field, { minLength: 1, maxLength: 3 })
    .map((all) => all.reduce<object>((changed, [index, to]) => withField(changed, index, to), state));
  return fc.oneof({ weight: 6, arbitrary: changes }, fc.anything());
}

/** With the `index`th of its fields, in whatever depth, replaced. */
function withField(state: object, index: number, value: unknown): object {
  const copy = structuredClone(state) as Record<string, unknown>;
  const places: [Record<string, unknown>, string][] = [];
  const visit = (object: Record<string, unknown>): void => {
    for (const [key, inner] of Object.entries(object)) {
      places.push([object, key]);
      if (typeof inner === 'object' && inner !== null && !ArrayBuffer.isView(inner)) {
        visit(inner as Record<string, unknown>);
      }
    }
  };
  visit(copy);
  if (places.length === 0) return copy;
  const [owner, key] = places[index % places.length]!;
  owner[key] = value;
  return copy;
}
