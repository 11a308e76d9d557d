/** A thread that does one thing after the other, in simulated time; it sleeps in between. */
import type { Agenda } from './agenda.js';

export class Worker {
  #freeAt = 0;

  constructor(
    readonly agenda: Agenda,
    readonly wakeUp: number,
  ) {}

  /** What takes so long is done as soon as it is free, and then `act`. */
  do(micros: number, act: () => void): void {
    const { now } = this.agenda;
    const slept = this.#freeAt < now;
    this.#freeAt = Math.max(now, this.#freeAt) + (slept ? this.wakeUp : 0) + micros;
    this.agenda.note(this.#freeAt, act);
  }
}

/** One way of a link: what is sent queues, and is there half a round trip after its last bit went out. */
export class Wire {
  #freeAt = 0;

  constructor(
    readonly agenda: Agenda,
    readonly rateBits: number,
    readonly latency: number,
  ) {}

  send(bytes: number, act: () => void): void {
    const micros = (bytes * WIRE_SHARE * 8e6) / this.rateBits;
    this.#freeAt = Math.max(this.agenda.now, this.#freeAt) + micros;
    this.agenda.note(this.#freeAt + this.latency, act);
  }
}

/** Headers of Ethernet, IP and TCP: 1514 bytes carry 1448. */
const WIRE_SHARE = 1514 / 1448;
