/** CPUID tables made up for tests, as KVM gives and takes them. */

export type Row = [leaf: number, index: number, eax: number, ebx: number, ecx: number, edx: number];
const WITH_INDEX = [4, 7, 0xb, 0xd, 0x14, 0x1d, 0x1e, 0x1f, 0x24, 0x8000001d];

export function pack(rows: Row[]): Buffer {
  const bytes = Buffer.alloc(rows.length * 40);
  rows.forEach(([leaf, index, ...registers], row) => {
    const flags = WITH_INDEX.includes(leaf) ? 1 : 0;
    [leaf, index, flags, ...registers].forEach((value, field) =>
      bytes.writeUInt32LE(value >>> 0, row * 40 + field * 4),
    );
  });
  return bytes;
}

export function unpack(bytes: Uint8Array): Row[] {
  const buffer = Buffer.from(bytes);
  return Array.from({ length: bytes.length / 40 }, (_, row) =>
    [0, 4, 12, 16, 20, 24].map((at) => buffer.readUInt32LE(row * 40 + at)),
  ) as Row[];
}

/** EAX, EBX, ECX, EDX; undefined if there is no such leaf. */
export function leaf(bytes: Uint8Array, number: number, index = 0): number[] | undefined {
  return unpack(bytes)
    .find((row) => row[0] === number && row[1] === index)
    ?.slice(2);
}

export const AMD: Row = [0, 0, 0x1c, 0x68747541, 0x444d4163, 0x69746e65];
export const INTEL: Row = [0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69];
export const KVM: Row = [0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d];
export const KVM_FEATURES: Row = [0x40000001, 0, 0x01007efb, 0, 0, 0];

/** Of a CPU of level 2 and no more; SDM vol. 2A, table 3-10 and 3-11: PNI, SSSE3, CX16, SSE4.1, SSE4.2, x2APIC, POPCNT. */
export const V2_LEAF_1: Row = [1, 0, 0x206a7, 0x00010800, 0x00b82201, 0x078bfbff];
export const V1_LEAF_80000001: Row = [0x80000001, 0, 0, 0, 0, 0x20100800];

/** What KVM gives by itself. */
const GIVEN: Row[] = [[6, 0, 4, 0, 0, 0], [7, 0, 0, 2, 0, 0], KVM, KVM_FEATURES, [0x80000008, 0, 0x3024, 0, 0, 0]];

/** Intel hosts of the levels 1 to 4: what the level asks for, and more. */
export const HOSTS: Record<1 | 2 | 3 | 4, Row[]> = {
  1: [INTEL, [1, 0, 0x10676, 0x00010800, 0x00202201, 0x078bfbff], V1_LEAF_80000001, ...GIVEN],
  2: [INTEL, V2_LEAF_1.with(4, 0x02b82203) as Row, V1_LEAF_80000001.with(4, 1) as Row, ...GIVEN],
  3: [
    INTEL,
    [1, 0, 0x306c3, 0x00010800, 0x7ef83203, 0x078bfbff],
    [6, 0, 4, 0, 0, 0],
    [7, 0, 0, 0x000007ab, 0, 0],
    [0xd, 0, 7, 0x340, 0x340, 0],
    [0xd, 1, 1, 0x340, 0, 0],
    [0xd, 2, 0x100, 0x240, 0, 0],
    KVM,
    KVM_FEATURES,
    [0x80000001, 0, 0, 0, 0x21, 0x2c100800],
    [0x80000008, 0, 0x3027, 0, 0, 0],
  ],
  4: [
    INTEL,
    [1, 0, 0x606a6, 0x00010800, 0x7ef83203, 0x078bfbff],
    [6, 0, 4, 0, 0, 0],
    [7, 0, 2, 0xf1bf07ab, 0x00000018, 0x20000000],
    [0xd, 0, 0x2e7, 0xa88, 0xa88, 0],
    [0xd, 1, 0xf, 0x988, 0, 0],
    [0xd, 2, 0x100, 0x240, 0, 0],
    [0xd, 5, 0x40, 0x440, 0, 0],
    [0xd, 6, 0x200, 0x480, 0, 0],
    [0xd, 7, 0x400, 0x680, 0, 0],
    [0xd, 9, 8, 0xa80, 0, 0],
    KVM,
    KVM_FEATURES,
    [0x80000001, 0, 0, 0, 0x121, 0x2c100800],
    [0x80000008, 0, 0x302e, 0, 0, 0],
  ],
};
