/** What the destination says on the urgent channel: which pages it asks for, and how many have come. */
import type { Socket } from '../../../native.js';
import { RequestOutbox } from '../../wire/page-outbox.js';

export class RequestQueue {
  readonly #outbox: RequestOutbox;
  #acknowledged = 0;

  constructor(socket: Socket) {
    this.#outbox = new RequestOutbox(socket);
  }

  /** Asks for the first `count` of these pages, in as few frames as it takes. `received`: pages of this channel that are here. */
  ask(pages: Uint32Array, count: number, received: number): void {
    for (let i = 0; i < count; i++) {
      this.#outbox.add(pages[i] as number);
      if (this.#outbox.isFull) this.#send(received);
    }
    if (!this.#outbox.isEmpty) this.#send(received);
  }

  /** Tells the source what has come, when there is nothing to ask for. */
  acknowledge(received: number): void {
    if (received !== this.#acknowledged) this.#send(received);
  }

  #send(received: number): void {
    this.#outbox.send(received);
    this.#acknowledged = received;
  }
}
