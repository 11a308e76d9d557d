import type { Surroundings } from './surroundings.js';

/** One interrupt line; tells what is around of changes only. */
export class IrqLine {
  readonly #surroundings: Surroundings;
  readonly #gsi: number;
  #level = false;

  constructor(surroundings: Surroundings, gsi: number) {
    this.#surroundings = surroundings;
    this.#gsi = gsi;
  }

  set(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#surroundings.setIrq(this.#gsi, level);
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
