/**
 * What the main thread tells the page workers of one migration, in shared memory: a worker looks at it between two
 * system calls.
 */
const PHASE = 0;
const STOP = 1;

const PHASE_PREPARED = 0;
/** Destination: the page channels broke before COMMIT. Whoever leaves PREPARED first decides whether the guest may run. */
const PHASE_BROKEN = 2;
/** Source: the destination runs the guest: push, and free what it acknowledges. Destination: COMMIT has come. */
const PHASE_HANDED_OVER = 1;

export class GoSignal {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  get handedOver(): boolean {
    return Atomics.load(this.#words, PHASE) === PHASE_HANDED_OVER;
  }

  get broken(): boolean {
    return Atomics.load(this.#words, PHASE) === PHASE_BROKEN;
  }

  /** False if the link was broken before. */
  handOver(): boolean {
    return Atomics.compareExchange(this.#words, PHASE, PHASE_PREPARED, PHASE_HANDED_OVER) !== PHASE_BROKEN;
  }

  /** False if the hand-over was before. */
  break(): boolean {
    return Atomics.compareExchange(this.#words, PHASE, PHASE_PREPARED, PHASE_BROKEN) !== PHASE_HANDED_OVER;
  }

  /** A link that closes from now on was closed by us. */
  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }
}
