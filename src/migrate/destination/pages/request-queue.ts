/** Pages to ask the source for: each once, batched into one REQUEST. */
import type { DestinationPages } from '../../../memory/page-states.js';
import type { Socket } from '../../../native.js';
import { RequestOutbox } from '../../wire/page-outbox.js';

export class RequestQueue {
  readonly #outbox: RequestOutbox;
  #acknowledged = 0;

  constructor(
    readonly pages: DestinationPages,
    socket: Socket,
  ) {
    this.#outbox = new RequestOutbox(socket);
  }

  /** Asks for a page unless it was asked for before. `received`: as for flush. */
  add(page: number, received: number): void {
    if (!this.pages.ask(page)) return;
    this.#outbox.add(page);
    if (this.#outbox.isFull) this.flush(received);
  }

  /** Sends what has gathered, with the number of pages received on this channel so far. */
  flush(received: number): void {
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
