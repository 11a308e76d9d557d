import type { RamBytes } from '../../memory/guest-memory.js';
import { DescriptorTable } from './descriptor-table.js';
import type { Segment } from './segment.js';
import {
  DESC_BYTES,
  ramOffsetOfGuest,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type RingOffsets,
} from './split-ring.js';
import { QueueError, type DescriptorChain } from './virtio-device.js';

/** Drivers hand out neighbouring descriptors while they can: to one chain, and to the next. */
const DIRECT_AHEAD = 16;
/** A chain has at most 2^32 - 1 bytes: the used ring could not tell of more. */
const CHAIN_BYTES_MAX = 2 ** 32 - 1;

interface GrowingChain extends DescriptorChain {
  readonly readable: Segment[];
  readonly writable: Segment[];
}

/** Reads the chains of one queue and checks all that 2.7.5 and 2.7.5.3 ask of a driver. Throws QueueError. */
export class ChainReader {
  readonly #ram: RamBytes;
  readonly #rings: RingOffsets;
  readonly #direct: DescriptorTable;
  /** Undefined unless VIRTIO_F_INDIRECT_DESC is negotiated. */
  readonly #indirect: DescriptorTable | undefined;
  #bytes = 0;

  constructor(ram: RamBytes, rings: RingOffsets, indirect: boolean) {
    this.#ram = ram;
    this.#rings = rings;
    this.#direct = new DescriptorTable(ram, Math.min(DIRECT_AHEAD, rings.size));
    this.#indirect = indirect ? new DescriptorTable(ram, rings.size) : undefined;
  }

  /** Of a chain that was announced. */
  read(head: number): DescriptorChain {
    const chain: GrowingChain = { head, readable: [], writable: [] };
    this.#bytes = 0;
    this.#walk(chain, this.#direct, head);
    return chain;
  }

  /** New chains are available, whose descriptors may have been read ahead when they did not say that yet. */
  announce(): void {
    this.#direct.open(this.#rings.descriptorTable, this.#rings.size);
  }

  /** A chain cannot be longer than its table, so that one that loops is found at its end. */
  #walk(chain: GrowingChain, table: DescriptorTable, first: number): void {
    let index = first;
    for (let count = 1; ; count++) {
      if (index >= table.entries) throw new QueueError(`descriptor ${index} of a table of ${table.entries}`);
      if (count > table.entries) throw new QueueError(`the chain at descriptor ${chain.head} loops`);
      table.seek(index);
      const flags = table.flags;
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) return this.#walkIndirect(chain, table);
      this.#addSegment(chain, table);
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return;
      index = table.next;
    }
  }

  /** An indirect descriptor ends the direct chain (2.7.5.3.1); its write-only flag means nothing (2.7.5.3.2). */
  #walkIndirect(chain: GrowingChain, table: DescriptorTable): void {
    const indirect = this.#indirect;
    if (indirect === undefined) throw new QueueError('an indirect descriptor, which was not negotiated');
    if (table === indirect) throw new QueueError('an indirect descriptor in an indirect table');
    if ((table.flags & VIRTQ_DESC_F_NEXT) !== 0) throw new QueueError('a descriptor behind an indirect one');
    const { address, length } = table;
    const entries = length / DESC_BYTES;
    if (!Number.isInteger(entries) || entries < 1 || entries > this.#rings.size) {
      throw new QueueError(`an indirect table of ${length} bytes in a queue of ${this.#rings.size}`);
    }
    indirect.open(ramOffsetOfGuest(this.#ram, 'an indirect table lies', address, length), entries);
    this.#walk(chain, indirect, 0);
  }

  #addSegment(chain: GrowingChain, table: DescriptorTable): void {
    const { address, length } = table;
    if (length === 0) throw new QueueError('a buffer of no bytes');
    this.#bytes += length;
    if (this.#bytes > CHAIN_BYTES_MAX) throw new QueueError(`a chain of ${this.#bytes} bytes`);
    const segment = { ramOffset: ramOffsetOfGuest(this.#ram, 'a buffer lies', address, length), length };
    if ((table.flags & VIRTQ_DESC_F_WRITE) !== 0) chain.writable.push(segment);
    else if (chain.writable.length === 0) chain.readable.push(segment);
    else throw new QueueError('a readable buffer behind a writable one');
  }
}
