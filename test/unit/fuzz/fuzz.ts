import fc from 'fast-check';
import { expect } from 'vitest';
import { PostcopyError } from '../../../src/errors.js';

/** Of each property. A failure is reported with the seed and path to repeat it. */
const FUZZ_MS = 2000;
/** For tests that fuzz: runs are interrupted between two of them. */
export const FUZZ_TIMEOUT_MS = 10 * FUZZ_MS;

/** As many runs as fit into the time. */
export function fuzz<T>(property: fc.IProperty<T>): void {
  fc.assert(property, { numRuns: 10_000_000, interruptAfterTimeLimit: FUZZ_MS, markInterruptAsFailure: false });
}

/** Runs it; whatever it throws is a PostcopyError with a message. What it gives, or undefined. */
export function onlyPostcopyError<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof PostcopyError)) throw error;
    expect(error.message).not.toBe('');
    return undefined;
  }
}

/** Bytes of `file` changed here and there, and perhaps cut off. */
export function mutations(file: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat(Math.min(file.length, 0x400) - 1);
  const value = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff).map((word) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(word);
      return bytes;
    }),
  );
  const length = fc.oneof({ weight: 4, arbitrary: fc.constant(file.length) }, fc.nat(file.length));
  return fc.tuple(fc.array(fc.tuple(at, value), { maxLength: 4 }), length).map(([changes, end]) => {
    const copy = Uint8Array.from(file);
    for (const [offset, bytes] of changes) copy.set(bytes.subarray(0, copy.length - offset), offset);
    return copy.subarray(0, end);
  });
}

/** This state with a field changed, and anything at all. */
export function statesLike(state: object): fc.Arbitrary<unknown> {
  const value = fc.oneof(fc.anything(), fc.integer({ min: -1, max: 257 }), fc.constantFrom(65536, 2 ** 32, 0.5));
  const change = fc.tuple(fc.nat(200), value).map(([index, to]) => withField(state, index, to));
  return fc.oneof({ weight: 4, arbitrary: change }, fc.anything());
}

/** With the `index`th of its fields, in whatever depth, replaced. */
function withField(state: object, index: number, value: unknown): object {
  const copy = structuredClone(state) as Record<string, unknown>;
  const places: [Record<string, unknown>, string][] = [];
  const visit = (object: Record<string, unknown>): void => {
    for (const [key, inner] of Object.entries(object)) {
      places.push([object, key]);
      if (typeof inner === 'object' && inner !== null) visit(inner as Record<string, unknown>);
    }
  };
  visit(copy);
  const [owner, key] = places[index % places.length]!;
  owner[key] = value;
  return copy;
}
