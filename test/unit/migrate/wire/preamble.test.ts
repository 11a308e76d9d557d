import { describe, expect, it } from 'vitest';
import {
  checkVerdict,
  decodePreamble,
  encodePreamble,
  encodeVerdict,
  type Verdict,
} from '../../../../src/migrate/wire/preamble.js';

const ID = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
const POSTCOPY = [0x50, 0x4f, 0x53, 0x54, 0x43, 0x4f, 0x50, 0x59];
const VERSION = [6, 0];
const BULK_3 = [...POSTCOPY, ...VERSION, 2, 3, 0, 0, 0, 0, ...ID];

describe('preamble', () => {
  it('is 32 bytes', () => {
    expect([...encodePreamble('control', 0, ID)]).toEqual([...POSTCOPY, ...VERSION, 0, 0, 0, 0, 0, 0, ...ID]);
    expect([...encodePreamble('urgent', 0, ID)]).toEqual([...POSTCOPY, ...VERSION, 1, 0, 0, 0, 0, 0, ...ID]);
    expect([...encodePreamble('bulk', 3, ID)]).toEqual(BULK_3);
  });

  it('is read back, also out of the middle of a buffer, and copied', () => {
    const buffer = Uint8Array.from([9, 9, 9, ...BULK_3, 9]);
    const preamble = decodePreamble(buffer.subarray(3, 35));
    expect(preamble).toEqual({ version: 6, channel: 'bulk', index: 3, id: ID });
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
  ])('%s is %d in the place of the index', (verdict, number) => {
    expect([...encodeVerdict(asked, verdict)]).toEqual([...POSTCOPY, ...VERSION, 2, number, 0, 0, 0, 0, ...ID]);
  });

  it('answers in our version, whatever was asked in', () => {
    expect(encodeVerdict({ ...asked, version: 7 }, 'version')[8]).toBe(6);
  });

  it('lets a welcome pass', () => {
    expect(() => checkVerdict(encodeVerdict(asked, 'welcome'), 'host:1')).not.toThrow();
  });

  it.each<[Verdict, string, string]>([
    ['version', 'BAD_PEER', 'host:1 speaks version 6'],
    ['stranger', 'BAD_PEER', 'host:1 does not know this migration'],
    ['busy', 'REFUSED', 'host:1 is taking another VM already'],
  ])('%s is %s', (verdict, code, message) => {
    const check = () => checkVerdict(encodeVerdict(asked, verdict), 'host:1');
    expect(check).toThrow(expect.objectContaining({ code }));
    expect(check).toThrow(message);
  });

  it('takes no welcome from another version, and no verdict it does not know', () => {
    const other = encodeVerdict(asked, 'welcome');
    other[8] = 5;
    expect(() => checkVerdict(other, 'host:1')).toThrow('version 5 of the postcopy protocol, this end version 6');
    const unknown = encodeVerdict(asked, 'welcome');
    unknown[11] = 4;
    expect(() => checkVerdict(unknown, 'host:1')).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
  });
});
