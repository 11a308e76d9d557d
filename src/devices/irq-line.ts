import type { DeviceHost } from './device-host.js';

/** One interrupt line; tells the host about changes only. */
export class IrqLine {
  readonly #host: DeviceHost;
  readonly #gsi: number;
  #level = false;

  constructor(host: DeviceHost, gsi: number) {
    this.#host = host;
    this.#gsi = gsi;
  }

  set(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#host.setIrq(this.#gsi, level);
  }

  /**
   * Drives the line again after a restore. KVM's irqchip state does not hold the levels of its inputs: a high line that
   * is not raised again is an interrupt lost; raised twice, an edge is at worst an interrupt too many.
   */
  restore(level: boolean): void {
    this.#level = false;
    this.set(level);
  }
}
