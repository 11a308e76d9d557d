/** The last bytes that went through, in a ring of fixed size. */
export class RecentOutput {
  readonly #ring: Buffer;
  #end = 0;
  #full = false;
  #total = 0;

  constructor(bytes: number) {
    this.#ring = Buffer.alloc(bytes);
  }

  add(bytes: Uint8Array): void {
    const size = this.#ring.length;
    this.#total += bytes.length;
    const tail = bytes.length > size ? bytes.subarray(bytes.length - size) : bytes;
    const untilWrap = Math.min(tail.length, size - this.#end);
    this.#ring.set(tail.subarray(0, untilWrap), this.#end);
    this.#ring.set(tail.subarray(untilWrap), 0);
    this.#full ||= this.#end + tail.length >= size;
    this.#end = (this.#end + tail.length) % size;
  }

  /** Bytes that went through, since the beginning. */
  get total(): number {
    return this.#total;
  }

  /** A copy, oldest byte first. */
  snapshot(): Buffer {
    const newest = this.#ring.subarray(0, this.#end);
    return this.#full ? Buffer.concat([this.#ring.subarray(this.#end), newest]) : Buffer.from(newest);
  }
}
