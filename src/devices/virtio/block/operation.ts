import {
  DISK_DISCARD,
  DISK_FLUSH,
  DISK_READ,
  DISK_WRITE,
  DISK_WRITE_THROUGH,
  DISK_WRITE_ZEROES,
  DISK_WRITE_ZEROES_UNMAP,
} from '../../../native.js';
import type { RamBytes } from '../../../memory/guest-memory.js';
import type { Segment } from '../segment.js';
import { MAX_DISCARD_SECTORS, MAX_WRITE_ZEROES_SECTORS, SECTOR_BYTES } from './config-space.js';
import * as blk from './request.js';

/** What a request asks of the disk, checked against its size: the arguments of NativeDisk.submit(). */
export interface DiskOperation {
  kind: number;
  segments: readonly Segment[];
  offset: number;
  length: number;
}

export interface DiskShape {
  sectors: number;
  readonly: boolean;
  /** The driver knows no flush: "writes persist when they complete" (5.2.6.2). */
  writeThrough: boolean;
}

/** The operation of a request that has one, or its status (VIRTIO_BLK_S_*). */
export function planOperation(ram: RamBytes, request: blk.BlockRequest, disk: DiskShape): DiskOperation | number {
  const { sector } = request;
  switch (request.type) {
    case blk.VIRTIO_BLK_T_IN:
      return transfer(DISK_READ, sector, request.dataIn, request.dataInBytes, disk);
    case blk.VIRTIO_BLK_T_OUT: {
      if (disk.readonly) return blk.VIRTIO_BLK_S_IOERR;
      const kind = disk.writeThrough ? DISK_WRITE_THROUGH : DISK_WRITE;
      return transfer(kind, sector, request.dataOut, request.dataOutBytes, disk);
    }
    case blk.VIRTIO_BLK_T_FLUSH:
      return { kind: DISK_FLUSH, segments: [], offset: 0, length: 0 };
    case blk.VIRTIO_BLK_T_DISCARD: {
      const range = blk.parseRange(ram, request);
      // "MUST set the status byte to VIRTIO_BLK_S_UNSUPP for discard commands if the unmap flag is set" (5.2.6.2)
      if (range?.unmap === true) return blk.VIRTIO_BLK_S_UNSUPP;
      return overRange(DISK_DISCARD, range, MAX_DISCARD_SECTORS, disk);
    }
    case blk.VIRTIO_BLK_T_WRITE_ZEROES: {
      const range = blk.parseRange(ram, request);
      const kind = range?.unmap === true ? DISK_WRITE_ZEROES_UNMAP : DISK_WRITE_ZEROES;
      return overRange(kind, range, MAX_WRITE_ZEROES_SECTORS, disk);
    }
    default:
      return blk.VIRTIO_BLK_S_UNSUPP;
  }
}

function transfer(
  kind: number,
  sector: number,
  segments: readonly Segment[],
  bytes: number,
  disk: DiskShape,
): DiskOperation | number {
  if (bytes % SECTOR_BYTES !== 0 || !hasSectors(disk, sector, bytes / SECTOR_BYTES)) return blk.VIRTIO_BLK_S_IOERR;
  return { kind, segments, offset: sector * SECTOR_BYTES, length: bytes };
}

function overRange(
  kind: number,
  range: blk.SectorRange | undefined,
  mostSectors: number,
  disk: DiskShape,
): DiskOperation | number {
  if (range === undefined) return blk.VIRTIO_BLK_S_IOERR;
  if (range.unknownFlags) return blk.VIRTIO_BLK_S_UNSUPP;
  const { sector, sectors } = range;
  if (disk.readonly || sectors > mostSectors || !hasSectors(disk, sector, sectors)) return blk.VIRTIO_BLK_S_IOERR;
  return { kind, segments: [], offset: sector * SECTOR_BYTES, length: sectors * SECTOR_BYTES };
}

function hasSectors(disk: DiskShape, sector: number, count: number): boolean {
  return sector <= disk.sectors && count <= disk.sectors - sector;
}
