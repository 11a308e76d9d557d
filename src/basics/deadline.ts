import { native } from '../native.js';

const MICROS_PER_MS = 1000;

/** A moment by which something has to be over, by the clock that all threads of this process share. */
export class Deadline {
  /** `atMicros`: as monotonicMicros() has it. It can be sent to another thread; a Deadline cannot. */
  constructor(readonly atMicros: number) {}

  static in(ms: number): Deadline {
    return new Deadline(native.monotonicMicros() + ms * MICROS_PER_MS);
  }

  /** Whole milliseconds, 0 when it has passed. */
  get leftMs(): number {
    return Math.max(0, Math.ceil((this.atMicros - native.monotonicMicros()) / MICROS_PER_MS));
  }
}
