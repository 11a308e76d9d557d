import { hasText, viewOf } from '../memory/byte-view.js';
import { badKernel } from './boot-errors.js';

/** Program header fields of either class; offsets and sizes are checked against the file, addresses are not. */
export interface ProgramHeader {
  type: number;
  /** Physical address. */
  paddr: number;
  /** The bytes in the file. */
  bytes: Uint8Array;
  memsz: number;
  align: number;
}

/** p_type values. */
export const PT_LOAD = 1;
export const PT_NOTE = 4;

const MAGIC = '\x7fELF';
const EI_CLASS = 4;
const EI_DATA = 5;
const ELFDATA2LSB = 1;
const E_MACHINE = 18;
const EM_386 = 3;
const EM_X86_64 = 62;
/** Reads an Elf32_Off or Elf64_Off and the like; undefined beyond 2^53 is turned into Infinity, which no check accepts. */
type ReadWord = (view: DataView, offset: number) => number;

/** Where the fields are: ELF specification, figures 1-3 and 2-1, and the ELF-64 object file format, figures 2 and 6. */
interface ElfClass {
  headerBytes: number;
  entry: number;
  phoff: number;
  phentsize: number;
  phnum: number;
  entryBytes: number;
  offset: number;
  paddr: number;
  filesz: number;
  memsz: number;
  align: number;
  word: ReadWord;
}

const ELF32: ElfClass = {
  headerBytes: 52,
  entry: 24,
  phoff: 28,
  phentsize: 42,
  phnum: 44,
  entryBytes: 32,
  offset: 4,
  paddr: 12,
  filesz: 16,
  memsz: 20,
  align: 28,
  word: (view, offset) => view.getUint32(offset, true),
};

const ELF64: ElfClass = {
  headerBytes: 64,
  entry: 24,
  phoff: 32,
  phentsize: 54,
  phnum: 56,
  entryBytes: 56,
  offset: 8,
  paddr: 24,
  filesz: 32,
  memsz: 40,
  align: 48,
  word: (view, offset) => {
    const value = view.getBigUint64(offset, true);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
  },
};

const CLASSES: Record<number, ElfClass> = { 1: ELF32, 2: ELF64 };

export function isElf(file: Uint8Array): boolean {
  return hasText(file, 0, MAGIC);
}

/** e_entry, a linear address, of a file for which isElf() holds; 0 if its header is damaged. */
export function readEntryAddress(file: Uint8Array): number {
  const elf = CLASSES[file[EI_CLASS] ?? 0];
  return elf === undefined || file.length < elf.headerBytes ? 0 : elf.word(viewOf(file), elf.entry);
}

/** The program headers of a file for which isElf() holds. Throws BAD_KERNEL. */
export function readProgramHeaders(file: Uint8Array, path: string): ProgramHeader[] {
  const elf = CLASSES[file[EI_CLASS] ?? 0];
  if (elf === undefined || file[EI_DATA] !== ELFDATA2LSB || file.length < elf.headerBytes) {
    throw badKernel(path, 'is a damaged ELF file, or not a little-endian one');
  }
  const view = viewOf(file);
  const machine = view.getUint16(E_MACHINE, true);
  if (machine !== EM_386 && machine !== EM_X86_64) {
    throw badKernel(path, `is an ELF file for another processor (machine ${machine}); x86 is needed`);
  }
  const table = elf.word(view, elf.phoff);
  const entryBytes = view.getUint16(elf.phentsize, true);
  const count = view.getUint16(elf.phnum, true);
  if (count > 0 && (entryBytes < elf.entryBytes || table > file.length - count * entryBytes)) {
    throw badKernel(path, 'is a truncated or damaged ELF file: its program headers lie outside it');
  }
  return Array.from({ length: count }, (_, index) => readEntry(file, view, elf, table + index * entryBytes, path));
}

function readEntry(file: Uint8Array, view: DataView, elf: ElfClass, at: number, path: string): ProgramHeader {
  const type = view.getUint32(at, true);
  const offset = elf.word(view, at + elf.offset);
  const filesz = elf.word(view, at + elf.filesz);
  const memsz = elf.word(view, at + elf.memsz);
  const wanted = type === PT_LOAD || type === PT_NOTE;
  if (wanted && (filesz > file.length || offset > file.length - filesz)) {
    throw badKernel(path, `is a truncated ELF file: a segment lies outside its ${file.length} bytes`);
  }
  if (type === PT_LOAD && filesz > memsz) {
    throw badKernel(path, 'is a damaged ELF file: a segment is larger in the file than in memory');
  }
  const bytes = wanted ? file.subarray(offset, offset + filesz) : new Uint8Array();
  return { type, paddr: elf.word(view, at + elf.paddr), bytes, memsz, align: elf.word(view, at + elf.align) };
}
