/**
 * Frames of the urgent and bulk channels. All fields are 32-bit little-endian words, read and written through typed
 * arrays that are made once: nothing is allocated for a page. (x86-64 only, so the host's order is the wire's.)
 *
 *   REQUEST   tag, pages n, pages received on this channel (64 bits), n page numbers     destination -> source
 *   PAGE      tag, page, then 4096 bytes                                                 source -> destination
 *   EXTENT    tag, first page, pages n, 0, then n x 4096 bytes                           source -> destination
 *   ZERO      tag, first page, pages n, 0: these pages read zero                         source -> destination
 *   LOST      in the shape of PAGE on the urgent channel, of ZERO on a bulk channel:     source -> destination
 *             a memory error has taken these pages, they have no content
 *   END       tag, 0, 0, 0: nothing more comes on this bulk channel                      source -> destination
 *   RECEIVED  tag, 0, pages received on this channel (64 bits)                           destination -> source
 *   TRIAL     in the shape of PAGE on the urgent channel, of EXTENT on a bulk channel;   source -> destination
 *             n may be 0 and is in the place of PAGE's page: n x 4096 bytes of no meaning
 *   TRIED     tag, pages n of the TRIAL, 0, 0, then 4096 bytes of no meaning unless n=0   destination -> source
 */
import { PAGE_SIZE } from '../../memory/page-size.js';

export const TAG_REQUEST = 0x51455250; // "PREQ"
export const TAG_PAGE = 0x45474150; // "PAGE"
export const TAG_EXTENT = 0x54545850; // "PXTT"
export const TAG_ZERO = 0x4f52455a; // "ZERO"
export const TAG_LOST = 0x54534c50; // "PLST"
export const TAG_END = 0x444e4550; // "PEND"
export const TAG_RECEIVED = 0x56435250; // "PRCV"
export const TAG_TRIAL = 0x49525450; // "PTRI"
export const TAG_TRIED = 0x44525450; // "PTRD"

export const REQUEST_HEADER_BYTES = 16;
export const PAGE_HEADER_BYTES = 8;
export const PAGE_FRAME_BYTES = PAGE_HEADER_BYTES + PAGE_SIZE;
export const EXTENT_HEADER_BYTES = 16;
export const RECEIVED_BYTES = 16;
const TRIED_HEADER_BYTES = 16;

/** Of a TRIED that answers a TRIAL of so many pages. */
export function triedBytes(pages: number): number {
  return TRIED_HEADER_BYTES + Math.min(pages, 1) * PAGE_SIZE;
}

/** A count up to 2^53 in two words. */
export function putCount(words: Uint32Array, at: number, count: number): void {
  words[at] = count >>> 0;
  words[at + 1] = Math.floor(count / 2 ** 32);
}

export function getCount(words: Uint32Array, at: number): number {
  return words[at]! + words[at + 1]! * 2 ** 32;
}
