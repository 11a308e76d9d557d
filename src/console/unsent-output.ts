/** A page of output at a time: a guest writes single bytes, and an array for each would take a hundred times as much. */
const PIECE_BYTES = 4096;

/** Bytes that wait to be sent, first in, first out, in pieces that come and go with them. Its user bounds it. */
export class UnsentOutput {
  readonly #pieces: Uint8Array[] = [];
  /** Where the oldest byte is in the first piece, and where the next goes in the last. */
  #head = 0;
  #tail = PIECE_BYTES;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Keeps a copy. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#tail === PIECE_BYTES) this.#addPiece();
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#tail);
      this.#pieces.at(-1)!.set(part, this.#tail);
      this.#tail += part.length;
      at += part.length;
    }
    this.#length += bytes.length;
  }

  /** The oldest bytes, as many as lie together; none only if there are none. */
  get oldest(): Uint8Array {
    const [piece] = this.#pieces;
    return piece === undefined ? new Uint8Array(0) : piece.subarray(this.#head, this.#head + this.#inFirst);
  }

  /** The first so many of `oldest` are sent. */
  drop(count: number): void {
    const all = count === this.#inFirst;
    this.#length -= count;
    this.#head += count;
    if (!all) return;
    this.#pieces.shift();
    this.#head = 0;
    if (this.#pieces.length === 0) this.#tail = PIECE_BYTES;
  }

  get #inFirst(): number {
    return Math.min(this.#length, PIECE_BYTES - this.#head);
  }

  #addPiece(): void {
    this.#pieces.push(new Uint8Array(PIECE_BYTES));
    this.#tail = 0;
  }
}
