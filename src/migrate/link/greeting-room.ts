/**
 * Connections that have not said yet what they are, or not proved it. There is always room for one more: when it is full,
 * the oldest one of the host that has the most there leaves, so that strangers, however many, crowd out themselves.
 */
export interface Greeting {
  /** host:port */
  readonly peer: string;
  close(): void;
}

/** More than one migration opens at once, and with the listening socket no more than a PollSet takes. */
export const MOST_GREETING = 60;

export class GreetingRoom<G extends Greeting> {
  /** In the order in which they came. */
  readonly #greetings = new Set<G>();

  add(greeting: G): void {
    if (this.#greetings.size >= MOST_GREETING) this.#makeRoom();
    this.#greetings.add(greeting);
  }

  /** It is known now, or gone. */
  delete(greeting: G): void {
    this.#greetings.delete(greeting);
  }

  get all(): readonly G[] {
    return [...this.#greetings];
  }

  closeAll(): void {
    for (const greeting of this.#greetings) greeting.close();
    this.#greetings.clear();
  }

  #makeRoom(): void {
    const byHost = new Map<string, G[]>();
    for (const greeting of this.#greetings) {
      const host = hostOf(greeting.peer);
      byHost.set(host, [...(byHost.get(host) ?? []), greeting]);
    }
    const most = [...byHost.values()].reduce((a, b) => (b.length > a.length ? b : a), []);
    const [oldest] = most;
    if (oldest === undefined) return;
    this.#greetings.delete(oldest);
    oldest.close();
  }
}

function hostOf(peer: string): string {
  return peer.slice(0, peer.lastIndexOf(':'));
}
