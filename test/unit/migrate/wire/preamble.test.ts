import { describe, expect, it } from 'vitest';
import {
  checkVerdict,
  decodePreamble,
  encodePreamble,
  encodeVerdict,
  versionToFallBackTo,
  VERDICTS,
  type Verdict,
} from '../../../../src/migrate/wire/preamble.js';

const ID = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
const POSTCOPY = [0x50, 0x4f, 0x53, 0x54, 0x43, 0x4f, 0x50, 0x59];
const VERSION = [8, 0];
const BULK_3 = [...POSTCOPY, ...VERSION, 2, 3, 0, 0, 0, 0, ...ID];

describe('preamble', () => {
  it('is 32 bytes', () => {
    expect([...encodePreamble(8, 'control', 0, ID)]).toEqual([...POSTCOPY, ...VERSION, 0, 0, 0, 0, 0, 0, ...ID]);
    expect([...encodePreamble(8, 'urgent', 0, ID)]).toEqual([...POSTCOPY, ...VERSION, 1, 0, 0, 0, 0, 0, ...ID]);
    expect([...encodePreamble(8, 'bulk', 3, ID)]).toEqual(BULK_3);
    expect([...encodePreamble(7, 'bulk', 3, ID)]).toEqual(BULK_3.with(8, 7));
  });

  it('is read back, also out of the middle of a buffer, and copied', () => {
    const buffer = Uint8Array.from([9, 9, 9, ...BULK_3, 9]);
    const preamble = decodePreamble(buffer.subarray(3, 35));
    expect(preamble).toEqual({ version: 8, channel: 'bulk', index: 3, generation: 0, id: ID });
    buffer.fill(0);
    expect([...preamble.id]).toEqual([...ID]);
  });

  it('leaves the judgement of versions to the caller', () => {
    const other = Uint8Array.from(BULK_3);
    other.set([0x34, 0x12], 8);
    expect(decodePreamble(other).version).toBe(0x1234);
  });

  it.each(Array.from({ length: 8 }, (_, i) => i))('refuses another magic at byte %d', (at) => {
    const bytes = Uint8Array.from(BULK_3);
    bytes[at]! ^= 0x20;
    expect(() => decodePreamble(bytes)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });

  it.each([0, 31, 33])('refuses %d bytes', (length) => {
    const bytes = new Uint8Array(length);
    bytes.set(BULK_3.slice(0, length));
    expect(() => decodePreamble(bytes)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });

  it.each([3, 0x7f, 0xff])('refuses channel %d', (channel) => {
    const bytes = Uint8Array.from(BULK_3);
    bytes[10] = channel;
    expect(() => decodePreamble(bytes)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});

describe('verdict', () => {
  const asked = decodePreamble(Uint8Array.from(BULK_3));

  it.each<[Verdict, number]>([
    ['welcome', 0],
    ['version', 1],
    ['stranger', 2],
    ['busy', 3],
    ['secured', 4],
  ])('%s is %d in the place of the index', (verdict, number) => {
    expect([...encodeVerdict(asked, verdict)]).toEqual([...POSTCOPY, ...VERSION, 2, number, 0, 0, 0, 0, ...ID]);
  });

  it.each([
    [6, 8],
    [7, 7],
    [8, 8],
    [9, 8],
  ])('answers what was asked in version %d in version %d', (version, answered) => {
    for (const verdict of VERDICTS) expect(encodeVerdict({ ...asked, version }, verdict)[8]).toBe(answered);
  });

  it.each([7, 8] as const)('lets a welcome pass in version %d, that which was asked in', (version) => {
    expect(() => checkVerdict(encodeVerdict({ ...asked, version }, 'welcome'), 'host:1', version)).not.toThrow();
  });

  it.each<[Verdict, string, string]>([
    ['version', 'BAD_PEER', 'host:1 speaks version 8'],
    ['stranger', 'BAD_PEER', 'host:1 does not know this migration'],
    ['busy', 'REFUSED', 'host:1 is taking another VM already'],
    ['secured', 'REFUSED', 'host:1 takes no VM without the key'],
  ])('%s is %s', (verdict, code, message) => {
    const check = () => checkVerdict(encodeVerdict(asked, verdict), 'host:1', 8);
    expect(check).toThrow(expect.objectContaining({ code }));
    expect(check).toThrow(message);
  });

  it('takes no welcome in another version, and no verdict it does not know', () => {
    const other = encodeVerdict(asked, 'welcome');
    for (const version of [6, 7, 9]) {
      other[8] = version;
      expect(() => checkVerdict(other, 'host:1', 8)).toThrow(
        `version ${version} of the postcopy protocol, this end versions 8 and 7: install the same release`,
      );
    }
    const unknown = encodeVerdict(asked, 'welcome');
    unknown[11] = 99;
    expect(() => checkVerdict(unknown, 'host:1', 8)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});

describe('the version to fall back to', () => {
  /** A preamble with this verdict from an end of this version, which need not be ours. */
  function answer(version: number, verdict: Verdict): Uint8Array {
    return Uint8Array.from(BULK_3).with(8, version).with(11, VERDICTS.indexOf(verdict));
  }

  it.each<[string, number, Verdict, 7 | 8, 7 | undefined]>([
    ['the one before', 7, 'version', 8, 7],
    ['one too old', 6, 'version', 8, undefined],
    ['a newer one', 9, 'version', 8, undefined],
    ['the one that was asked in', 8, 'version', 8, undefined],
    ['the one before, a second time', 7, 'version', 7, undefined],
    ['the newest, though the older was asked in', 8, 'version', 7, undefined],
    ['the one before, with a welcome', 7, 'welcome', 8, undefined],
  ])('where the answer is of %s', (_, version, verdict, asked, expected) => {
    expect(versionToFallBackTo(answer(version, verdict), asked)).toBe(expected);
  });

  it('is none of something that is no postcopy', () => {
    expect(() => versionToFallBackTo(new Uint8Array(32), 8)).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});
