/**
 * Drives a pure state machine: events are taken one at a time, and the actions of one are finished before the next is
 * looked at, whatever comes in meanwhile.
 */
export class EventQueue<Event> {
  readonly #waiting: Event[] = [];
  #busy = false;

  /** `handle` should not throw: what it throws is nobody's to catch, but the events behind it are looked at. */
  constructor(readonly handle: (event: Event) => Promise<void>) {}

  push(event: Event): void {
    this.#waiting.push(event);
    if (!this.#busy) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    for (;;) {
      const event = this.#waiting.shift();
      if (event === undefined) break;
      await this.handle(event).catch((error: unknown) => void Promise.reject(error));
    }
    this.#busy = false;
  }
}
