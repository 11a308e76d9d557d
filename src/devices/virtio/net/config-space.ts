/** struct virtio_net_config (virtio 1.2, 5.1.4), as far as it belongs to features that are offered. */
const MAC_BYTES = 6;
const STATUS = 6;
const MTU = 10;
const CONFIG_BYTES = 12;

/** What may be told (5.1.4.1). */
const [MTU_MIN, MTU_MAX] = [1280, 65535];
export const NO_MTU = 0;

export const VIRTIO_NET_S_LINK_UP = 1;
export const VIRTIO_NET_S_ANNOUNCE = 2;

/** An MTU as the guest is told of it: NO_MTU for one that it cannot be told. */
export function mtuToTell(mtu: number): number {
  return mtu >= MTU_MIN && mtu <= MTU_MAX ? mtu : NO_MTU;
}

/** max_virtqueue_pairs, which is not offered, stays 0. */
export function netConfig(mac: Uint8Array, status: number, mtu: number): Uint8Array {
  const bytes = new Uint8Array(CONFIG_BYTES);
  bytes.set(mac);
  bytes[STATUS] = status;
  new DataView(bytes.buffer).setUint16(MTU, mtu, true);
  return bytes;
}

/** The bytes of a MAC address as NetConfig has it. Throws RangeError for what is none. */
export function macBytes(mac: string): Uint8Array {
  const digits = mac.split(':');
  if (digits.length !== MAC_BYTES || !digits.every((pair) => /^[0-9a-f]{2}$/i.test(pair))) {
    throw new RangeError(`'${mac}' is no MAC address`);
  }
  return Uint8Array.from(digits, (pair) => parseInt(pair, 16));
}
