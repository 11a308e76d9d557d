/** Features, limits and configuration space of a block device (virtio 1.2, 5.2.3, 5.2.4). */

export const VIRTIO_ID_BLOCK = 2;

const VIRTIO_BLK_F_SEG_MAX = 1n << 2n;
const VIRTIO_BLK_F_RO = 1n << 5n;
const VIRTIO_BLK_F_BLK_SIZE = 1n << 6n;
export const VIRTIO_BLK_F_FLUSH = 1n << 9n;
const VIRTIO_BLK_F_DISCARD = 1n << 13n;
const VIRTIO_BLK_F_WRITE_ZEROES = 1n << 14n;

/** The unit of all sector numbers of the protocol, whatever blk_size is. */
export const SECTOR_BYTES = 512;
export const QUEUE_SIZE = 256;
/** A request's data, between the header's descriptor and that of the status. */
const SEG_MAX = QUEUE_SIZE - 2;
/** 1 GiB: punching a hole takes no time to speak of. */
export const MAX_DISCARD_SECTORS = 2 ** 21;
/** 64 MiB, which may have to be written; a longer request would be in the way of a pause. */
export const MAX_WRITE_ZEROES_SECTORS = 2 ** 17;
/** One range a request: a driver splits what it has, and a request stays one operation. */
const MAX_RANGES = 1;
/** 4 KiB, the block of most file systems: a smaller hole frees nothing. */
const DISCARD_SECTOR_ALIGNMENT = 8;

/** struct virtio_blk_config up to what VIRTIO_BLK_F_WRITE_ZEROES adds. */
const CONFIG_BYTES = 60;
const CAPACITY = 0;
const CONFIG_SEG_MAX = 12;
const BLK_SIZE = 20;
const CONFIG_MAX_DISCARD_SECTORS = 36;
const MAX_DISCARD_SEG = 40;
const CONFIG_DISCARD_SECTOR_ALIGNMENT = 44;
const CONFIG_MAX_WRITE_ZEROES_SECTORS = 48;
const MAX_WRITE_ZEROES_SEG = 52;
const WRITE_ZEROES_MAY_UNMAP = 56;

export function blockFeatures(readonly: boolean): bigint {
  const always = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH;
  return always | (readonly ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES);
}

/** Fields of features that are not offered are zero. */
export function blockConfig(capacitySectors: number, readonly: boolean): Uint8Array {
  const bytes = new Uint8Array(CONFIG_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(CAPACITY, BigInt(capacitySectors), true);
  view.setUint32(CONFIG_SEG_MAX, SEG_MAX, true);
  view.setUint32(BLK_SIZE, SECTOR_BYTES, true);
  if (readonly) return bytes;
  view.setUint32(CONFIG_MAX_DISCARD_SECTORS, MAX_DISCARD_SECTORS, true);
  view.setUint32(MAX_DISCARD_SEG, MAX_RANGES, true);
  view.setUint32(CONFIG_DISCARD_SECTOR_ALIGNMENT, DISCARD_SECTOR_ALIGNMENT, true);
  view.setUint32(CONFIG_MAX_WRITE_ZEROES_SECTORS, MAX_WRITE_ZEROES_SECTORS, true);
  view.setUint32(MAX_WRITE_ZEROES_SEG, MAX_RANGES, true);
  view.setUint8(WRITE_ZEROES_MAY_UNMAP, 1);
  return bytes;
}
