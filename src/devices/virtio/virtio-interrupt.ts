/**
 * InterruptStatus of one device (4.2.2) and its interrupt. The guest reads and acknowledges it without the device worker
 * (native/kvm/virtio_interrupts.h), at any time; interrupts are edges.
 */
export interface VirtioInterrupt {
  /** Sets bits of the status, then interrupts the guest. */
  raise(bits: number): void;
  /** The status now. */
  status(): number;
  /** Sets the status, without an interrupt. */
  setStatus(bits: number): void;
}
