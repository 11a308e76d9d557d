/**
 * Bytes on their way through a wire that takes time: they come out in order, each a fixed time after it went in. A ring
 * of bytes, and a mark for each piece that was put in. It holds what fits into the wire's length at its widest; who puts
 * bytes in waits while there is no room.
 */

interface Mark {
  dueAt: number;
  bytes: number;
}

export interface Span {
  offset: number;
  length: number;
}

export class DelayLine {
  readonly bytes: Buffer;
  readonly #marks: Mark[] = [];
  /** Marks before this one are gone; they are dropped now and then, not one by one. */
  #firstMark = 0;
  #head = 0;
  #held = 0;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  get held(): number {
    return this.#held;
  }

  /** Where the next bytes can be put, `most` at most; length 0 if it is full. */
  room(most: number): Span {
    const capacity = this.bytes.length;
    const offset = (this.#head + this.#held) % capacity;
    return { offset, length: Math.min(most, capacity - this.#held, capacity - offset) };
  }

  /** Bytes were put where room() said. */
  put(bytes: number, dueAt: number): void {
    this.#held += bytes;
    this.#marks.push({ dueAt, bytes });
  }

  /** When the first bytes are due; Infinity if there are none. */
  get nextDue(): number {
    return this.#marks[this.#firstMark]?.dueAt ?? Infinity;
  }

  /** Bytes of the piece that is due first. */
  get nextBytes(): number {
    return this.#marks[this.#firstMark]?.bytes ?? 0;
  }

  /** Those that are due and lie in one piece; length 0 if there are none. */
  due(now: number): Span {
    let length = 0;
    const most = this.bytes.length - this.#head;
    for (let i = this.#firstMark; i < this.#marks.length && length < most; i++) {
      const mark = this.#marks[i]!;
      if (mark.dueAt > now) break;
      length += mark.bytes;
    }
    return { offset: this.#head, length: Math.min(length, most) };
  }

  /** The first bytes have left. */
  take(bytes: number): void {
    this.#head = (this.#head + bytes) % this.bytes.length;
    this.#held -= bytes;
    for (let left = bytes; left > 0;) {
      const mark = this.#marks[this.#firstMark]!;
      const some = Math.min(left, mark.bytes);
      mark.bytes -= some;
      left -= some;
      if (mark.bytes === 0) this.#firstMark++;
    }
    if (this.#firstMark < TIDY_MARKS) return;
    this.#marks.splice(0, this.#firstMark);
    this.#firstMark = 0;
  }
}

const TIDY_MARKS = 1024;
