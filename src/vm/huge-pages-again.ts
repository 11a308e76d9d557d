import { giveBackHugePages, type WholeBlocks } from '../migrate/destination/huge-pages.js';
import type { NativeMemory } from '../native.js';

/** The huge pages of a guest that has come, given back until its machine ends or moves on. */
export class HugePagesAgain {
  #gives = false;

  begin(memory: NativeMemory, blocks: WholeBlocks): void {
    this.#gives = true;
    void giveBackHugePages(memory, blocks, () => !this.#gives);
  }

  stop(): void {
    this.#gives = false;
  }
}
