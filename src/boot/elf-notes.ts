import { hasText, viewOf } from '../memory/byte-view.js';
import { PT_NOTE, type ProgramHeader } from './elf.js';

const NOTE_HEADER_BYTES = 12;
const NOTE_ALIGN = 4;
/** What some linkers use for 64-bit files; p_align tells. */
const NOTE_ALIGN_WIDE = 8;

/** The descriptor of the first note with this name (without its NUL) and type, or undefined. Damaged notes end a search. */
export function findNote(headers: ProgramHeader[], name: string, type: number): Uint8Array | undefined {
  for (const header of headers) {
    if (header.type !== PT_NOTE) continue;
    const align = header.align === NOTE_ALIGN_WIDE ? NOTE_ALIGN_WIDE : NOTE_ALIGN;
    const found = findIn(header.bytes, align, `${name}\0`, type);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findIn(notes: Uint8Array, align: number, name: string, type: number): Uint8Array | undefined {
  const view = viewOf(notes);
  const alignUp = (offset: number): number => Math.ceil(offset / align) * align;
  let at = 0;
  while (at + NOTE_HEADER_BYTES <= notes.length) {
    const nameBytes = view.getUint32(at, true);
    const descBytes = view.getUint32(at + 4, true);
    const desc = alignUp(at + NOTE_HEADER_BYTES + nameBytes);
    if (desc + descBytes > notes.length) return undefined;
    const named = nameBytes === name.length && hasText(notes, at + NOTE_HEADER_BYTES, name);
    if (named && view.getUint32(at + 8, true) === type) return notes.subarray(desc, desc + descBytes);
    at = alignUp(desc + descBytes);
  }
  return undefined;
}
