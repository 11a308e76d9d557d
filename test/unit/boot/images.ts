/** Boot files made by hand, as small as they can be. */

export const MIB = 0x100000;

/** Fields of makeBzImage() and their values unless given. */
const HEADER = { initSize: 0x200000, prefAddress: 0x1000000, initrdAddrMax: 0x7fffffff, cmdlineSize: 0x7ff };

/** A bzImage of 2 setup sectors and 4 KiB of kernel, which is 0xAB throughout. */
export function makeBzImage(fields: Partial<typeof HEADER> = {}): Buffer {
  const f = { ...HEADER, ...fields };
  const file = Buffer.alloc(3 * 512 + 4096, 0);
  file.fill(0xab, 3 * 512);
  file[0x1f1] = 2; // setup_sects
  file.writeUInt32LE(4096 / 16, 0x1f4); // syssize
  file.writeUInt16LE(0xaa55, 0x1fe);
  file.writeUInt16LE(0x6aeb, 0x200); // jump over the header, which ends at 0x26c
  file.write('HdrS', 0x202);
  file.writeUInt16LE(0x20f, 0x206);
  file[0x211] = 0x01; // LOADED_HIGH
  file.writeUInt32LE(f.initrdAddrMax, 0x22c);
  file.writeUInt32LE(0x200000, 0x230);
  file[0x234] = 1;
  file.writeUInt16LE(0x7f, 0x236); // xloadflags
  file.writeUInt32LE(f.cmdlineSize, 0x238);
  file.writeBigUInt64LE(BigInt(f.prefAddress), 0x258);
  file.writeUInt32LE(f.initSize, 0x260);
  return file;
}

export interface ElfOptions {
  wide?: boolean;
  entry?: number;
  /** e_entry, which PVH does not look at. */
  linearEntry?: number;
  segments?: { paddr: number; bytes: Buffer; memsz?: number }[];
  note?: Buffer;
  noteAlign?: number;
}

/** Note Xen PHYS32_ENTRY. */
export function makeEntryNote(entry: number, descBytes = 8): Buffer {
  const note = Buffer.alloc(16 + descBytes);
  note.writeUInt32LE(4, 0);
  note.writeUInt32LE(descBytes, 4);
  note.writeUInt32LE(18, 8);
  note.write('Xen\0', 12);
  note.writeUInt32LE(entry, 16);
  return note;
}

/** An ELF executable of one PT_NOTE and the given PT_LOADs. */
export function makeElf(options: ElfOptions = {}): Buffer {
  const wide = options.wide ?? true;
  const entry = options.entry ?? MIB;
  const segments = options.segments ?? [{ paddr: MIB, bytes: Buffer.from('kernel') }];
  const note = options.note ?? makeEntryNote(entry, wide ? 8 : 4);
  const [headerBytes, entryBytes] = wide ? [64, 56] : [52, 32];
  const parts = [{ type: 4, paddr: 0, memsz: note.length, bytes: note, align: options.noteAlign ?? 4 }].concat(
    segments.map((s) => ({ type: 1, paddr: s.paddr, memsz: s.memsz ?? s.bytes.length, bytes: s.bytes, align: 4096 })),
  );
  const header = Buffer.alloc(headerBytes + parts.length * entryBytes);
  header.write('\x7fELF', 0, 'latin1');
  header.set([wide ? 2 : 1, 1, 1], 4);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(wide ? 62 : 3, 18);
  if (wide) header.writeBigUInt64LE(BigInt(options.linearEntry ?? 0), 24);
  else header.writeUInt32LE(options.linearEntry ?? 0, 24);
  if (wide) header.writeBigUInt64LE(BigInt(headerBytes), 32);
  else header.writeUInt32LE(headerBytes, 28);
  header.writeUInt16LE(entryBytes, wide ? 54 : 42);
  header.writeUInt16LE(parts.length, wide ? 56 : 44);
  let offset = header.length;
  parts.forEach((part, index) => {
    const at = headerBytes + index * entryBytes;
    header.writeUInt32LE(part.type, at);
    if (wide) {
      for (const [to, value] of [
        [8, offset],
        [24, part.paddr],
        [32, part.bytes.length],
        [40, part.memsz],
        [48, part.align],
      ] as const) {
        header.writeBigUInt64LE(BigInt(value), at + to);
      }
    } else {
      for (const [to, value] of [
        [4, offset],
        [12, part.paddr],
        [16, part.bytes.length],
        [20, part.memsz],
        [28, part.align],
      ] as const) {
        header.writeUInt32LE(value, at + to);
      }
    }
    offset += part.bytes.length;
  });
  return Buffer.concat([header, ...parts.map((part) => part.bytes)]);
}
