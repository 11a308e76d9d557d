/**
 * Clocks are read one after the other, and a thread may lose its core between two of them. What belongs together is
 * therefore read between two readings of one clock, again and again, until they are close together.
 */

/** As many times at most: on an emulated host no two readings are close. */
const TRIES = 4;
/** So close is close enough: less than any guest can see. */
const CLOSE_MICROS = 20;

export interface Reading<Value> {
  value: Value;
  /** The middle of both readings of the clock, microseconds. */
  atMicros: number;
}

/** The reading that took least. `read` may be called several times, `nowMicros` is a clock that never steps back. */
export function readBetween<Value>(nowMicros: () => number, read: () => Value): Reading<Value> {
  let best: Reading<Value> | undefined;
  let least = Infinity;
  for (let tries = 0; tries < TRIES && least > CLOSE_MICROS; tries++) {
    const began = nowMicros();
    const value = read();
    const took = nowMicros() - began;
    if (best !== undefined && took >= least) continue;
    best = { value, atMicros: began + took / 2 };
    least = took;
  }
  return best!;
}
