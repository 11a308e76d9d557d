/** One stream of what happens to a VM. Anybody may listen; nobody who listens can end or hold up the VM. */
import { harmlessly } from '../basics/harmless.js';
import type { Happening, Told } from './events.js';
import { NoticeLimit } from './notice-limit.js';

export type Listener = (happening: Happening) => unknown;

/** The side of the stream that others see. */
export interface Events {
  /** The result ends it. An error of the listener is a warning of the process, and nobody waits for what it does. */
  subscribe(listener: Listener): () => void;
}

export class EventStream implements Events {
  readonly #listeners = new Set<Listener>();
  /** Of what a guest can have told as often as it likes; for the VM's whole life, however often it is reset. */
  readonly #limits: Partial<Record<Told['type'], NoticeLimit>> = {
    'guest-reset': new NoticeLimit(),
    device: new NoticeLimit(),
  };

  /** `vm`: the name of the VM that all of this happens to. */
  constructor(readonly vm: string) {}

  subscribe(listener: Listener): () => void {
    // The same function may listen twice, and end once.
    const own: Listener = (happening) => listener(happening);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  publish(what: Told): void {
    const untold = this.#limits[what.type]?.take() ?? 0;
    if (untold < 0) return;
    const happening = { at: Date.now(), vm: this.vm, ...what, ...(untold === 0 ? {} : { untold }) };
    // A copy: who listens may end that, or have others listen, while it is told.
    for (const listener of [...this.#listeners]) harmlessly('a listener to events', () => listener(happening));
  }
}
