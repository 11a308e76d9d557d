import type { PollSource } from '../devices/poll-source.js';
import { PollSet } from './poll-set.js';

/** Waits in poll(2) for sources that come and go, without an allocation a turn. */
export class PollLoop {
  readonly #set = new PollSet();
  readonly #waiting: PollSource[] = [];

  /** Waits for one of the sources at most so long, and runs those that are ready, in their order. */
  turn(sources: Iterable<PollSource>, timeoutMs: number): void {
    this.#set.clear();
    for (const source of sources) {
      const { events } = source;
      if (events === 0) continue;
      this.#waiting[this.#set.count] = source;
      this.#set.add(source.fd, events);
    }
    const { count } = this.#set;
    if (!this.#set.wait(timeoutMs)) return;
    for (let i = 0; i < count; i++) {
      const revents = this.#set.revents(i);
      if (revents !== 0) this.#waiting[i]?.run(revents);
    }
  }
}
