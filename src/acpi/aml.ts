import { concatBytes } from './table.js';

/** Encoders for the few terms of ACPI Machine Language (ACPI 6.5, chapter 20) that the DSDT needs. */

const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const EXT_OP_PREFIX = 0x5b;
const DEVICE_OP = 0x82;

/** NameString of one segment, with a leading `\` for the root (20.2.2). */
export function nameString(name: string): Uint8Array {
  if (!/^\\?[A-Z_][A-Z0-9_]{3}$/.test(name)) throw new RangeError(`${name} is no AML name of one segment`);
  return ascii(name);
}

/** The shortest constant for an unsigned 32-bit value (20.2.3). */
export function integer(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError(`${value} is not 32 bits`);
  if (value === 0) return Uint8Array.of(ZERO_OP);
  if (value === 1) return Uint8Array.of(ONE_OP);
  if (value <= 0xff) return Uint8Array.of(BYTE_PREFIX, value);
  if (value <= 0xffff) return Uint8Array.of(WORD_PREFIX, ...littleEndian(value, 2));
  return Uint8Array.of(DWORD_PREFIX, ...littleEndian(value, 4));
}

/** A NUL-terminated string constant. */
export function string(text: string): Uint8Array {
  return concatBytes(Uint8Array.of(STRING_PREFIX), ascii(text), Uint8Array.of(0));
}

/** An EISA identifier, as `PNP0501`: three letters of five bits and four hexadecimal digits, big endian (19.3.4). */
export function eisaId(id: string): Uint8Array {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`${id} is no EISA identifier`);
  const letter = (at: number): number => id.charCodeAt(at) - 0x40;
  const letters = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = parseInt(id.slice(3), 16);
  return Uint8Array.of(DWORD_PREFIX, letters >> 8, letters & 0xff, product >> 8, product & 0xff);
}

/** Name(NAME, object) */
export function name(path: string, object: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(NAME_OP), nameString(path), object);
}

/** Package() {...} */
export function packageOf(...elements: Uint8Array[]): Uint8Array {
  return withLength(Uint8Array.of(PACKAGE_OP), concatBytes(Uint8Array.of(elements.length), ...elements));
}

/** Scope(NAME) {...} */
export function scope(path: string, ...terms: Uint8Array[]): Uint8Array {
  return withLength(Uint8Array.of(SCOPE_OP), concatBytes(nameString(path), ...terms));
}

/** Device(NAME) {...} */
export function device(path: string, ...terms: Uint8Array[]): Uint8Array {
  return withLength(Uint8Array.of(EXT_OP_PREFIX, DEVICE_OP), concatBytes(nameString(path), ...terms));
}

/** Buffer() {...} */
export function buffer(bytes: Uint8Array): Uint8Array {
  return withLength(Uint8Array.of(BUFFER_OP), concatBytes(integer(bytes.length), bytes));
}

function withLength(opcode: Uint8Array, content: Uint8Array): Uint8Array {
  return concatBytes(opcode, packageLength(content.length), content);
}

// PkgLength (20.2.4): 6 bits in one byte, or 4 bits and one to three bytes more; it counts itself.
const ONE_BYTE_MAX = 0x3f;
const FOLLOWING_BYTES_MAX = 3;

/** PkgLength for `contentBytes` behind it. */
export function packageLength(contentBytes: number): Uint8Array {
  if (contentBytes + 1 <= ONE_BYTE_MAX) return Uint8Array.of(contentBytes + 1);
  for (let following = 1; following <= FOLLOWING_BYTES_MAX; following++) {
    const total = contentBytes + 1 + following;
    if (total < 2 ** (4 + 8 * following)) {
      return Uint8Array.of((following << 6) | (total & 0xf), ...littleEndian(Math.floor(total / 16), following));
    }
  }
  throw new RangeError(`${contentBytes} bytes are too many for one AML term`);
}

function littleEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => (value >>> (8 * at)) & 0xff);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
