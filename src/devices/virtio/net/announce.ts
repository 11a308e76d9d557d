import { viewOf } from '../../../memory/byte-view.js';
import { NET_HEADER_BYTES } from './net-header.js';

/**
 * When announce() is called, in milliseconds from the guest's first moment on its new host: a frame may be lost while
 * switches and bridges still learn, or wait before they forward (spanning tree). As QEMU's default has it.
 */
export const ANNOUNCE_AT_MS: readonly number[] = [0, 50, 200, 450, 800];

const ETHERTYPE_RARP = 0x8035;
const ETHERTYPE_IPV4 = 0x0800;
const HARDWARE_ETHERNET = 1;
const MAC_BYTES = 6;
const IPV4_BYTES = 4;
const REVERSE_REQUEST = 3;
/** The least that Ethernet carries, without the checksum. */
const FRAME_BYTES = 60;

/**
 * "Who am I", a reverse ARP request (RFC 903) from a MAC address to all, with a virtio-net header. Nobody answers; but
 * every bridge and switch on its way learns where the MAC address is now.
 */
export function announcement(mac: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(NET_HEADER_BYTES + FRAME_BYTES);
  const frame = bytes.subarray(NET_HEADER_BYTES);
  const view = viewOf(frame);
  frame.fill(0xff, 0, MAC_BYTES);
  frame.set(mac, 6);
  view.setUint16(12, ETHERTYPE_RARP);
  view.setUint16(14, HARDWARE_ETHERNET);
  view.setUint16(16, ETHERTYPE_IPV4);
  view.setUint8(18, MAC_BYTES);
  view.setUint8(19, IPV4_BYTES);
  view.setUint16(20, REVERSE_REQUEST);
  frame.set(mac, 22); // sender; its IPv4 address is not known
  frame.set(mac, 32); // target
  return bytes;
}
