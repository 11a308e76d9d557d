import type { VirtioInterrupt } from '../../../../src/devices/virtio/virtio-interrupt.js';

/** An InterruptStatus, and how often the guest was interrupted. */
export class FakeInterrupt implements VirtioInterrupt {
  edges = 0;
  #status = 0;

  raise(bits: number): void {
    this.#status |= bits;
    this.edges++;
  }

  status(): number {
    return this.#status;
  }

  setStatus(bits: number): void {
    this.#status = bits;
  }
}
