import { viewOf } from '../../../memory/byte-view.js';
import {
  has,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
} from './features.js';

/** struct virtio_net_hdr (virtio 1.2, 5.1.6), in front of every frame in both directions. */
export const NET_HEADER_BYTES = 12;
const FLAGS = 0;
const GSO_TYPE = 1;
const HDR_LEN = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;
export const NUM_BUFFERS = 10;

const FLAG_NEEDS_CSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_ECN = 0x80;

const CHECKSUM_BYTES = 2;
const ETHERNET_HEADER_BYTES = 14;
/** The largest IP packet in an Ethernet frame; 5.1.6.3.1 has drivers make room for it with its header (65,562 bytes). */
export const FRAME_BYTES_MAX = 65550;

/**
 * Whether a frame of `frameBytes` may be sent with this header of the driver's, which must use what was negotiated
 * (5.1.6.2.1) and point into the frame. Clears what a driver sets for nobody. The kernel checks the packet itself.
 */
export function checkSendHeader(header: Uint8Array, frameBytes: number, features: bigint): boolean {
  if (frameBytes < ETHERNET_HEADER_BYTES || frameBytes > FRAME_BYTES_MAX) return false;
  const view = viewOf(header);
  view.setUint8(FLAGS, view.getUint8(FLAGS) & FLAG_NEEDS_CSUM);
  view.setUint16(NUM_BUFFERS, 0, true);
  return (
    view.getUint16(HDR_LEN, true) <= frameBytes &&
    isGoodChecksum(view, frameBytes, features) &&
    isGoodGso(view, features)
  );
}

function isGoodChecksum(view: DataView, frameBytes: number, features: bigint): boolean {
  if (!needsChecksum(view)) return true;
  const end = view.getUint16(CSUM_START, true) + view.getUint16(CSUM_OFFSET, true) + CHECKSUM_BYTES;
  return has(features, VIRTIO_NET_F_CSUM) && end <= frameBytes;
}

function isGoodGso(view: DataView, features: bigint): boolean {
  const type = view.getUint8(GSO_TYPE);
  if (type === GSO_NONE) return true;
  if ((type & GSO_ECN) !== 0 && !has(features, VIRTIO_NET_F_HOST_ECN)) return false;
  return needsChecksum(view) && view.getUint16(GSO_SIZE, true) > 0 && isOffered(type & ~GSO_ECN, features);
}

function isOffered(gsoType: number, features: bigint): boolean {
  if (gsoType === GSO_TCPV4) return has(features, VIRTIO_NET_F_HOST_TSO4);
  return gsoType === GSO_TCPV6 && has(features, VIRTIO_NET_F_HOST_TSO6);
}

function needsChecksum(view: DataView): boolean {
  return (view.getUint8(FLAGS) & FLAG_NEEDS_CSUM) !== 0;
}
