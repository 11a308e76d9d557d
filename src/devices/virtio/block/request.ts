import type { RamBytes } from '../../../memory/guest-memory.js';
import { readSegments, segmentsLength, sliceSegments, type Segment } from '../segment.js';
import { QueueError, type DescriptorChain } from '../virtio-device.js';

/** Virtio 1.2, 5.2.6: struct virtio_blk_req. */
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;

export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;

/** le32 type, le32 reserved, le64 sector */
const HEADER_BYTES = 16;
const STATUS_BYTES = 1;
/** struct virtio_blk_discard_write_zeroes: le64 sector, le32 num_sectors, le32 flags */
const RANGE_BYTES = 16;
const FLAG_UNMAP = 1;

export interface BlockRequest {
  head: number;
  type: number;
  /** Inexact above 2^53, and then far beyond any disk. */
  sector: number;
  /** What the driver gives: all that follows the header. */
  dataOut: Segment[];
  dataOutBytes: number;
  /** What it has room for: all before the status. */
  dataIn: Segment[];
  dataInBytes: number;
  /** Where the status goes: the last byte that is writable. */
  statusOffset: number;
}

/** The parts of a request, wherever the borders of its buffers lie (2.7.4.2). Throws QueueError if it is none. */
export function parseRequest(ram: RamBytes, chain: DescriptorChain): BlockRequest {
  const header = new Uint8Array(HEADER_BYTES);
  if (readSegments(ram, chain.readable, header) < HEADER_BYTES) {
    throw new QueueError(`block request ${chain.head} has no room for a header of ${HEADER_BYTES} bytes`);
  }
  const last = chain.writable.at(-1);
  if (last === undefined) throw new QueueError(`block request ${chain.head} has no room for its status`);
  const view = new DataView(header.buffer);
  const dataInBytes = segmentsLength(chain.writable) - STATUS_BYTES;
  return {
    head: chain.head,
    type: view.getUint32(0, true),
    sector: Number(view.getBigUint64(8, true)),
    dataOut: sliceSegments(chain.readable, HEADER_BYTES),
    dataOutBytes: segmentsLength(chain.readable) - HEADER_BYTES,
    dataIn: sliceSegments(chain.writable, 0, dataInBytes),
    dataInBytes,
    statusOffset: last.ramOffset + last.length - STATUS_BYTES,
  };
}

export interface SectorRange {
  sector: number;
  sectors: number;
  unmap: boolean;
  /** Flags that nobody knows. */
  unknownFlags: boolean;
}

/** The range of a discard or write zeroes request; undefined unless it is exactly one. */
export function parseRange(ram: RamBytes, request: BlockRequest): SectorRange | undefined {
  if (request.dataOutBytes !== RANGE_BYTES) return undefined;
  const bytes = new Uint8Array(RANGE_BYTES);
  readSegments(ram, request.dataOut, bytes);
  const view = new DataView(bytes.buffer);
  const flags = view.getUint32(12, true);
  return {
    sector: Number(view.getBigUint64(0, true)),
    sectors: view.getUint32(8, true),
    unmap: (flags & FLAG_UNMAP) !== 0,
    unknownFlags: (flags & ~FLAG_UNMAP) !== 0,
  };
}
