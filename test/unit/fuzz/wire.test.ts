/** What comes from a stranger, or from the other end of a migration, on its control channel. */
import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRamMap, encodeRamMap, pagesIn } from '../../../src/memory/ram-map.js';
import { encodeMessage, FrameDecoder } from '../../../src/migrate/wire/frame.js';
import { MESSAGES, type Message } from '../../../src/migrate/wire/message.js';
import { nestsAtMost } from '../../../src/migrate/wire/nesting.js';
import {
  checkVerdict,
  decodePreamble,
  encodePreamble,
  encodeVerdict,
  VERDICTS,
  versionToFallBackTo,
} from '../../../src/migrate/wire/preamble.js';
import { PROTOCOL_VERSIONS } from '../../../src/migrate/wire/protocol.js';
import { bytesLike, cuts, fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError, pieces, statesLike } from './fuzz.js';
import { SAMPLES } from './sample-messages.js';

const version = fc.constantFrom(...PROTOCOL_VERSIONS);
const frames = SAMPLES.map(({ type, body }) => encodeMessage(type, body));

/** The messages of a stream, and what ended it. */
function decodeAll(
  decoder: FrameDecoder,
  parts: Iterable<Uint8Array>,
): [messages: Message[], error: string | undefined] {
  const messages: Message[] = [];
  let error: string | undefined;
  onlyPostcopyError(() => {
    try {
      for (const part of parts) messages.push(...decoder.push(part));
    } catch (thrown) {
      error = (thrown as Error).message;
      throw thrown;
    }
  });
  return [messages, error];
}

describe('the control channel', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('begins with a preamble, which is one or is refused', () => {
    const id = new Uint8Array(16).fill(7);
    const samples = [
      encodePreamble(8, 'control', 0, id),
      encodePreamble(7, 'bulk', 3, id, 5),
      ...VERDICTS.map((verdict) => encodeVerdict(decodePreamble(encodePreamble(8, 'control', 0, id)), verdict)),
    ];
    fuzz(
      fc.property(bytesLike(samples, 1), version, (bytes, asked) => {
        const preamble = onlyPostcopyError(() => decodePreamble(bytes));
        onlyPostcopyError(() => checkVerdict(bytes, '[::1]:7000', asked));
        const older = onlyPostcopyError(() => versionToFallBackTo(bytes, asked));
        expect(older === undefined || older < asked).toBe(true);
        if (preamble === undefined) return;
        expect(bytes.length).toBe(32);
        expect(decodePreamble(encodeVerdict(preamble, 'stranger'))).toMatchObject({ id: preamble.id });
      }),
    );
  });

  it('takes or refuses any stream, and the same however it is cut', () => {
    fuzz(
      fc.property(bytesLike(frames), cuts, version, fc.boolean(), (stream, lengths, spoken, isGreeting) => {
        const decoders = [new FrameDecoder(spoken), new FrameDecoder(spoken)] as const;
        for (const decoder of decoders) decoder.isGreeting = isGreeting;
        const whole = decodeAll(decoders[0], [stream]);
        const cut = decodeAll(decoders[1], pieces(stream, lengths));
        // What was whole before the error is heard of only if it came apart from it.
        expect(cut[1]).toBe(whole[1]);
        if (whole[1] === undefined) expect(cut).toEqual(whole);
      }),
    );
  });

  it.each([
    ['HELLO', ['hello']],
    ['STATE', ['state']],
    ['STANDING', ['standing']],
    ['any message', Object.keys(MESSAGES)],
  ])('takes or refuses any body of %s', (_, types) => {
    const samples = SAMPLES.filter(({ type }) => types.includes(type));
    const sample = samples.map(({ type, body }) => statesLike(body).map((given) => ({ type, given })));
    fuzz(
      fc.property(fc.oneof(...sample), version, ({ type, given }, spoken) => {
        const encoded = encodeAnything(given);
        if (encoded === undefined) return;
        const frame = frameOf(MESSAGES[type].tag, encoded);
        const [messages] = decodeAll(new FrameDecoder(spoken), [frame]);
        // Whatever is taken can be sent on, and is the same then.
        for (const message of messages) {
          const again = decodeAll(new FrameDecoder(), [encodeMessage(message.type, message.body)]);
          expect(again).toEqual([[message], undefined]);
        }
      }),
    );
  });

  it('knows how deep a message nests before it makes room for it', () => {
    const samples = [
      encode({ a: [1, [2, [3]]], b: new Uint8Array(9), c: 'text' }),
      ...frames.map((f) => f.subarray(8)),
    ];
    const nested = fc
      .array(fc.tuple(fc.constantFrom(0x91, 0xdc, 0xdd, 0x81, 0xde, 0xdf), fc.nat(0xffff)), { maxLength: 40 })
      .map((heads) => Uint8Array.from(heads.flatMap(([head, length]) => [head, length >> 8, length & 0xff])));
    fuzz(
      fc.property(fc.oneof(bytesLike(samples, 1), nested), fc.nat(20), (bytes, most) => {
        if (!nestsAtMost(bytes, most)) return;
        let value: unknown;
        try {
          value = decode(bytes, { maxArrayLength: 1000, maxMapLength: 1000 });
        } catch {
          return; // no MessagePack
        }
        expect(depthOf(value)).toBeLessThanOrEqual(most);
      }),
    );
  });

  it('has RAM maps that lie in RAM', () => {
    const samples = [
      [0, 1],
      [5, 3, 10, 200, 4000, 1],
      [0, 0x10000],
      [127, 128, 300, 16384],
    ].map((extents) => encodeRamMap(Uint32Array.from(extents)));
    const pages = fc.oneof(fc.constantFrom(0, 1, 4096, 0x10000, 2 ** 28, 2 ** 32 - 1), fc.nat(10_000));
    fuzz(
      fc.property(bytesLike(samples, 2), pages, (bytes, most) => {
        const extents = onlyPostcopyError(() => decodeRamMap(bytes, most));
        if (extents === undefined) return;
        expect(extents.buffer.byteLength).toBeLessThanOrEqual(8 * bytes.length);
        let end = 0;
        for (let i = 0; i < extents.length; i += 2) {
          expect(extents[i]).toBeGreaterThanOrEqual(end);
          end = extents[i]! + extents[i + 1]!;
        }
        expect(end).toBeLessThanOrEqual(most);
        expect(pagesIn(extents)).toBeLessThanOrEqual(most);
        expect(decodeRamMap(encodeRamMap(extents), most)).toEqual(extents);
      }),
    );
  });
});

function frameOf(tag: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length, true);
  new DataView(frame.buffer).setUint32(4, tag, true);
  frame.set(body, 8);
  return frame;
}

/** As MessagePack; undefined if it has no such thing. */
function encodeAnything(value: unknown): Uint8Array | undefined {
  try {
    return encode(value);
  } catch {
    return undefined;
  }
}

function depthOf(value: unknown): number {
  // Bytes, dates and extensions are values, whatever objects a decoder makes of them.
  const nests = Array.isArray(value) || Object.getPrototypeOf(value ?? 0) === Object.prototype;
  if (!nests) return 0;
  const inner = Object.values(value as object); // an empty one takes no room
  return inner.length === 0 ? 0 : 1 + Math.max(...inner.map(depthOf));
}
