/** A bounded first-in, first-out queue of bytes. */
export class ByteQueue {
  readonly #bytes: Uint8Array;
  #head = 0;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes it still takes. */
  get space(): number {
    return this.#bytes.length - this.#length;
  }

  /** False, and nothing changed, if it is full. */
  push(byte: number): boolean {
    if (this.space === 0) return false;
    this.#bytes[(this.#head + this.#length) % this.#bytes.length] = byte;
    this.#length++;
    return true;
  }

  /** The oldest byte, or undefined if it is empty. */
  shift(): number | undefined {
    if (this.#length === 0) return undefined;
    const byte = this.#bytes[this.#head];
    this.#head = (this.#head + 1) % this.#bytes.length;
    this.#length--;
    return byte;
  }

  clear(): void {
    this.#length = 0;
  }

  toArray(): number[] {
    return Array.from({ length: this.#length }, (_, at) => this.#bytes[(this.#head + at) % this.#bytes.length] ?? 0);
  }

  /** Replaces what it holds; the caller has checked that it fits. */
  fill(bytes: Iterable<number>): void {
    this.clear();
    for (const byte of bytes) this.push(byte);
  }
}
