import { viewOf } from '../../../memory/byte-view.js';

/** Configuration space (virtio 1.2, 5.5.4); the two fields behind these belong to features that are not offered. */
const NUM_PAGES = 0;
const ACTUAL = 4;
const CONFIG_BYTES = 8;

export class BalloonConfig {
  readonly #bytes = new Uint8Array(CONFIG_BYTES);
  readonly #view = viewOf(this.#bytes);

  /** Pages the host wants in the balloon. */
  get numPages(): number {
    return this.#view.getUint32(NUM_PAGES, true);
  }

  set numPages(pages: number) {
    this.#view.setUint32(NUM_PAGES, pages, true);
  }

  /** Pages in the balloon, as the driver says: it may say anything. */
  get actual(): number {
    return this.#view.getUint32(ACTUAL, true);
  }

  set actual(pages: number) {
    this.#view.setUint32(ACTUAL, pages, true);
  }

  read(): Uint8Array {
    return this.#bytes.slice();
  }

  /** Only `actual` is the driver's to write. */
  write(offset: number, bytes: Uint8Array): void {
    bytes.forEach((byte, index) => {
      const at = offset + index;
      if (at >= ACTUAL && at < CONFIG_BYTES) this.#bytes[at] = byte;
    });
  }
}
