import type { RamBytes } from '../../../../src/memory/guest-memory.js';
import type { RingAddresses } from '../../../../src/devices/virtio/split-ring.js';

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

/** What a chain is made of. Guest addresses are RAM offsets here: all is below the hole. */
export interface FakeBuffers {
  /** Contents of the readable buffers. */
  readable?: Uint8Array[];
  /** Lengths of the writable ones. */
  writable?: number[];
  /** In an indirect table. */
  indirect?: boolean;
}

export interface FakeDescriptor {
  address: number | bigint;
  length: number;
  flags?: number;
  next?: number;
}

/** A chain that came back. */
export interface FakeUsed {
  head: number;
  written: number;
  /** The first `written` bytes of its writable buffers. */
  bytes: Uint8Array;
}

const align = (value: number, to: number): number => Math.ceil(value / to) * to;

/** The driver's side of one split virtqueue, in RAM from `start` on: rings first, buffers behind them. */
export class FakeRings {
  readonly rings: RingAddresses;
  /** avail.idx. */
  available = 0;
  /** Index of the used entry that is looked at next. */
  used = 0;
  readonly #free: number[];
  readonly #chains = new Map<number, { descriptors: number[]; writable: { address: number; length: number }[] }>();
  #nextBuffer: number;
  #kickedTo = 0;

  /** `first`: where the indices of both rings begin, for queues that have wrapped. */
  constructor(
    readonly ram: RamBytes,
    start: number,
    readonly size: number,
    readonly eventIdx = false,
    first = 0,
  ) {
    const descriptorTable = align(start, 16);
    const availableRing = descriptorTable + 16 * size;
    const usedRing = align(availableRing + 6 + 2 * size, 4);
    this.rings = { size, descriptorTable, availableRing, usedRing };
    this.#nextBuffer = usedRing + 6 + 8 * size;
    this.#free = Array.from({ length: size }, (_, index) => index);
    this.available = this.used = this.#kickedTo = first;
    this.setWord(availableRing + 2, first);
    this.setWord(usedRing + 2, first);
  }

  /** Makes a chain available; its head. Throws if there is no room. */
  add(buffers: FakeBuffers): number {
    const head = this.build(buffers);
    this.offer(head);
    return head;
  }

  /** Lays out a chain without making it available; its head. */
  build({ readable = [], writable = [], indirect = false }: FakeBuffers): number {
    const wanted = [
      ...readable.map((bytes) => ({ address: this.place(bytes), length: bytes.length, flags: 0 })),
      ...writable.map((length) => ({ address: this.alloc(length), length, flags: WRITE })),
    ];
    const descriptors = this.#take(indirect ? 1 : wanted.length);
    const head = descriptors[0]!;
    if (indirect) {
      const table = this.alloc(16 * wanted.length, 16);
      this.#link(
        wanted,
        wanted.map((_, index) => index),
        table,
      );
      this.setDescriptor(head, { address: table, length: 16 * wanted.length, flags: INDIRECT });
    } else {
      this.#link(wanted, descriptors, this.rings.descriptorTable);
    }
    this.#chains.set(head, { descriptors, writable: wanted.slice(readable.length) });
    return head;
  }

  /** Puts a head into the available ring and counts its index up. */
  offer(head: number): void {
    this.setWord(this.rings.availableRing + 4 + 2 * (this.available % this.size), head);
    this.setAvailable(this.available + 1);
  }

  setAvailable(index: number): void {
    this.available = index & 0xffff;
    this.setWord(this.rings.availableRing + 2, this.available);
  }

  /** Whether the device wants to know of what was added since the last call. */
  wantsKick(): boolean {
    const [before, now] = [this.#kickedTo, this.available];
    this.#kickedTo = now;
    if (!this.eventIdx) return (this.word(this.rings.usedRing) & 1) === 0 && before !== now;
    return ((now - this.availEvent - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  get availEvent(): number {
    return this.word(this.rings.usedRing + 4 + 8 * this.size);
  }

  /** With event indices: interrupt when this used entry comes. */
  setUsedEvent(index: number): void {
    this.setWord(this.rings.availableRing + 4 + 2 * this.size, index);
  }

  /** avail.flags; 1 is VIRTQ_AVAIL_F_NO_INTERRUPT. */
  setFlags(flags: number): void {
    this.setWord(this.rings.availableRing, flags);
  }

  /** What has come back since the last call; wants an interrupt for the next one. */
  collect(): FakeUsed[] {
    const result: FakeUsed[] = [];
    const end = this.word(this.rings.usedRing + 2);
    for (; this.used !== end; this.used = (this.used + 1) & 0xffff) {
      const entry = this.rings.usedRing + 4 + 8 * (this.used % this.size);
      result.push(this.#finish(this.long(entry), this.long(entry + 4)));
    }
    if (this.eventIdx) this.setUsedEvent(this.used);
    return result;
  }

  setDescriptor(index: number, descriptor: FakeDescriptor, table = this.rings.descriptorTable): void {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt(descriptor.address));
    bytes.writeUInt32LE(descriptor.length, 8);
    bytes.writeUInt16LE(descriptor.flags ?? 0, 12);
    bytes.writeUInt16LE(descriptor.next ?? 0, 14);
    this.ram.write(table + 16 * index, bytes);
  }

  /** Guest address of `length` bytes that nothing else uses. Never freed. */
  alloc(length: number, alignment = 1): number {
    const address = align(this.#nextBuffer, alignment);
    this.#nextBuffer = address + length;
    return address;
  }

  /** Guest address of a copy of the bytes. */
  place(bytes: Uint8Array): number {
    const address = this.alloc(bytes.length);
    this.ram.write(address, bytes);
    return address;
  }

  bytes(address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    this.ram.read(address, bytes);
    return bytes;
  }

  word(address: number): number {
    return this.bytes(address, 2).readUInt16LE();
  }

  long(address: number): number {
    return this.bytes(address, 4).readUInt32LE();
  }

  setWord(address: number, value: number): void {
    this.ram.write(address, Uint8Array.of(value, value >> 8));
  }

  #take(count: number): number[] {
    if (count > this.#free.length) throw new Error('the queue is full');
    return this.#free.splice(0, count);
  }

  #link(wanted: FakeDescriptor[], indices: number[], table: number): void {
    wanted.forEach((descriptor, at) => {
      const next = indices[at + 1];
      const flags = (descriptor.flags ?? 0) | (next === undefined ? 0 : NEXT);
      this.setDescriptor(indices[at]!, { ...descriptor, flags, next: next ?? 0 }, table);
    });
  }

  #finish(head: number, written: number): FakeUsed {
    const chain = this.#chains.get(head);
    if (chain === undefined) throw new Error(`chain ${head} came back and was not out`);
    this.#chains.delete(head);
    this.#free.push(...chain.descriptors);
    const bytes = Buffer.concat(chain.writable.map(({ address, length }) => this.bytes(address, length)));
    if (written > bytes.length) throw new Error(`${written} of ${bytes.length} bytes written`);
    return { head, written, bytes: bytes.subarray(0, written) };
  }
}
