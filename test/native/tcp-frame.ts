/** A TCP segment over IPv4 with everything that segmentation looks at. */
import { HEADER_BYTES } from './host-bridge.js';

const ETHERNET = 14;
const IPV4 = 20;
const TCP = 20;
export const TCP_HEADERS = ETHERNET + IPV4 + TCP;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;

/** Broadcast, to be cut into segments of `gsoSize` bytes by who sends it; its virtio-net header is in front. */
export function tcpFrame(payloadBytes: number, gsoSize: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + TCP_HEADERS + payloadBytes);
  const header = new DataView(bytes.buffer, 0, HEADER_BYTES);
  header.setUint8(0, NEEDS_CSUM);
  header.setUint8(1, gsoSize > 0 ? GSO_TCPV4 : 0);
  header.setUint16(2, TCP_HEADERS, true);
  header.setUint16(4, gsoSize, true);
  header.setUint16(6, ETHERNET + IPV4, true);
  header.setUint16(8, 16, true);
  const frame = new DataView(bytes.buffer, HEADER_BYTES);
  bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x08, 0x00], HEADER_BYTES);
  writeIpv4(frame, IPV4 + TCP + payloadBytes);
  frame.setUint16(34, 1000); // ports
  frame.setUint16(36, 2000);
  frame.setUint8(46, (TCP / 4) << 4);
  frame.setUint8(47, 0x10); // ACK
  frame.setUint16(48, 0xffff);
  frame.setUint16(50, foldedSum([0x0a00, 0x0001, 0x0a00, 0x0002, 6, TCP + payloadBytes]));
  return bytes;
}

export function isTcp(frame: Uint8Array): boolean {
  return frame[HEADER_BYTES + 12] === 8 && frame[HEADER_BYTES + 13] === 0 && frame[HEADER_BYTES + 23] === 6;
}

function writeIpv4(frame: DataView, length: number): void {
  frame.setUint8(14, 0x45);
  frame.setUint16(16, length);
  frame.setUint8(22, 64);
  frame.setUint8(23, 6);
  frame.setUint32(26, 0x0a000001);
  frame.setUint32(30, 0x0a000002);
  const words = Array.from({ length: IPV4 / 2 }, (_, i) => frame.getUint16(14 + 2 * i));
  frame.setUint16(24, ~foldedSum(words) & 0xffff);
}

function foldedSum(words: number[]): number {
  let sum = words.reduce((total, word) => total + word, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
