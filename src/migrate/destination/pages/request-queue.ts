/** Pages to ask the source for: each once, batched into one REQUEST. */
import { PageBitmap } from '../../../memory/page-bitmap.js';
import type { Socket } from '../../../native.js';
import { putCount, REQUEST_HEADER_BYTES, TAG_REQUEST } from '../../wire/page-frames.js';
import { REQUEST_PAGES_MAX } from '../../wire/protocol.js';

export class RequestQueue {
  readonly #requested: PageBitmap;
  readonly #frame = new Uint8Array(REQUEST_HEADER_BYTES + REQUEST_PAGES_MAX * 4);
  readonly #words = new Uint32Array(this.#frame.buffer);
  #count = 0;
  #acknowledged = 0;

  constructor(
    pages: number,
    readonly socket: Socket,
  ) {
    this.#requested = new PageBitmap(pages);
    this.#words[0] = TAG_REQUEST;
  }

  /** Asks for a page unless it was asked for before. `received`: as for flush. */
  add(page: number, received: number): void {
    if (!this.#requested.set(page)) return;
    this.#words[REQUEST_HEADER_BYTES / 4 + this.#count++] = page;
    if (this.#count === REQUEST_PAGES_MAX) this.flush(received);
  }

  /** Sends what has gathered, with the number of pages received on this channel so far. */
  flush(received: number): void {
    if (this.#count === 0) return;
    this.#send(received);
  }

  /** Tells the source what has come, when there is nothing to ask for. */
  acknowledge(received: number): void {
    if (received !== this.#acknowledged) this.#send(received);
  }

  #send(received: number): void {
    this.#words[1] = this.#count;
    putCount(this.#words, 2, received);
    this.socket.send(this.#frame, 0, REQUEST_HEADER_BYTES + this.#count * 4);
    this.#count = 0;
    this.#acknowledged = received;
  }
}
