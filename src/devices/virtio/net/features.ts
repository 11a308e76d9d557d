/** Feature bits of a network device (virtio 1.2, 5.1.3). */
export const VIRTIO_NET_F_CSUM = 1n << 0n;
export const VIRTIO_NET_F_GUEST_CSUM = 1n << 1n;
/** Not of NET_FEATURES: where the MTU of the first host's network is one that can be told. */
export const VIRTIO_NET_F_MTU = 1n << 3n;
const VIRTIO_NET_F_MAC = 1n << 5n;
export const VIRTIO_NET_F_GUEST_TSO4 = 1n << 7n;
export const VIRTIO_NET_F_GUEST_TSO6 = 1n << 8n;
export const VIRTIO_NET_F_GUEST_ECN = 1n << 9n;
export const VIRTIO_NET_F_HOST_TSO4 = 1n << 11n;
export const VIRTIO_NET_F_HOST_TSO6 = 1n << 12n;
export const VIRTIO_NET_F_HOST_ECN = 1n << 13n;
export const VIRTIO_NET_F_MRG_RXBUF = 1n << 15n;
const VIRTIO_NET_F_STATUS = 1n << 16n;
const VIRTIO_NET_F_CTRL_VQ = 1n << 17n;
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 1n << 21n;

/** The same on every host: any TAP device can do all of it. */
export const NET_FEATURES =
  VIRTIO_NET_F_CSUM |
  VIRTIO_NET_F_GUEST_CSUM |
  VIRTIO_NET_F_MAC |
  VIRTIO_NET_F_GUEST_TSO4 |
  VIRTIO_NET_F_GUEST_TSO6 |
  VIRTIO_NET_F_GUEST_ECN |
  VIRTIO_NET_F_HOST_TSO4 |
  VIRTIO_NET_F_HOST_TSO6 |
  VIRTIO_NET_F_HOST_ECN |
  VIRTIO_NET_F_MRG_RXBUF |
  VIRTIO_NET_F_STATUS |
  VIRTIO_NET_F_CTRL_VQ |
  VIRTIO_NET_F_GUEST_ANNOUNCE;

export function has(features: bigint, feature: bigint): boolean {
  return (features & feature) !== 0n;
}
