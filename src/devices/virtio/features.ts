/** Reserved feature bits that the transport and the rings understand (virtio 1.2, section 6). */

/** Chains may lie in tables of their own (2.7.5.3). */
export const VIRTIO_F_INDIRECT_DESC = 1n << 28n;
/** Each side says at which index it wants to be told (2.7.7.1, 2.7.10). */
export const VIRTIO_F_EVENT_IDX = 1n << 29n;
/** Not a legacy device. */
export const VIRTIO_F_VERSION_1 = 1n << 32n;

/** What every device offers besides its own features. */
export const TRANSPORT_FEATURES = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
