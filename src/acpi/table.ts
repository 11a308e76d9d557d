import { viewOf } from '../memory/byte-view.js';

/** DESCRIPTION_HEADER (ACPI 6.5, table 5.4). */
export const TABLE_HEADER_BYTES = 36;
const LENGTH_OFFSET = 4;
const REVISION_OFFSET = 8;
const CHECKSUM_OFFSET = 9;
const OEM_ID_OFFSET = 10;
const OEM_TABLE_ID_OFFSET = 16;
const OEM_REVISION_OFFSET = 24;
const CREATOR_ID_OFFSET = 28;
const CREATOR_REVISION_OFFSET = 32;

/** Six letters, here and in the RSDP. */
export const OEM_ID = 'PCOPY ';
const OEM_TABLE_ID = 'POSTCOPY';
const CREATOR_ID = 'PCPY';
const TABLES_REVISION = 1;

/** A whole table around its body: header, lengths, checksum. */
export function encodeTable(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const table = new Uint8Array(TABLE_HEADER_BYTES + body.length);
  const view = viewOf(table);
  putText(table, 0, signature);
  view.setUint32(LENGTH_OFFSET, table.length, true);
  view.setUint8(REVISION_OFFSET, revision);
  putText(table, OEM_ID_OFFSET, OEM_ID);
  putText(table, OEM_TABLE_ID_OFFSET, OEM_TABLE_ID);
  view.setUint32(OEM_REVISION_OFFSET, TABLES_REVISION, true);
  putText(table, CREATOR_ID_OFFSET, CREATOR_ID);
  view.setUint32(CREATOR_REVISION_OFFSET, TABLES_REVISION, true);
  table.set(body, TABLE_HEADER_BYTES);
  view.setUint8(CHECKSUM_OFFSET, checksumOf(table));
  return table;
}

/** The byte that makes the sum of all of them 0, if its place holds 0 now. */
export function checksumOf(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** Puts ASCII text without a NUL. */
export function putText(into: Uint8Array, offset: number, text: string): void {
  for (let at = 0; at < text.length; at++) into[offset + at] = text.charCodeAt(at);
}

/** One after the other. */
export function concatBytes(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
