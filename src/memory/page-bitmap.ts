/**
 * One bit a page, shared by worker threads: all updates are atomic, and whoever changes a bit learns that it did.
 * Page states of both ends (page-states.ts) are such maps; the source's `unsent` is the only authority on what was sent,
 * the destination's `missing` on what is installed.
 */
export class PageBitmap {
  readonly pages: number;
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(pages: number, buffer = new SharedArrayBuffer(Math.ceil(pages / 32) * 4)) {
    this.pages = pages;
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** `extents`: [first page, pages] pairs. */
  static of(pages: number, extents: Uint32Array): PageBitmap {
    return new PageBitmap(pages).add(extents);
  }

  /** `extents`: [first page, pages] pairs. */
  add(extents: Uint32Array): this {
    for (let i = 0; i < extents.length; i += 2) this.setRange(extents[i]!, extents[i + 1]!);
    return this;
  }

  /** Adds what `other` has; as keep(). */
  unite(other: PageBitmap): this {
    for (let word = 0; word < this.#words.length; word++) this.#words[word]! |= Atomics.load(other.#words, word);
    return this;
  }

  /** Keeps what `other` has as well; of as many pages, and nobody else changes this one meanwhile. */
  keep(other: PageBitmap): this {
    for (let word = 0; word < this.#words.length; word++) this.#words[word]! &= Atomics.load(other.#words, word);
    return this;
  }

  /** Clears what `other` has; as keep(). */
  remove(other: PageBitmap): this {
    for (let word = 0; word < this.#words.length; word++) this.#words[word]! &= ~Atomics.load(other.#words, word);
    return this;
  }

  /** How many bits of these are set. */
  countRange(first: number, count: number): number {
    let set = 0;
    for (let left = count, page = first; left > 0;) {
      const bits = bitsInWord(page, left);
      set += bitCount(Atomics.load(this.#words, page >>> 5) & maskOf(page, bits));
      page += bits;
      left -= bits;
    }
    return set;
  }

  get count(): number {
    let count = 0;
    for (let word = 0; word < this.#words.length; word++) count += bitCount(Atomics.load(this.#words, word));
    return count;
  }

  has(page: number): boolean {
    return (Atomics.load(this.#words, page >>> 5) & (1 << (page & 31))) !== 0;
  }

  /** True if the bit was clear. */
  set(page: number): boolean {
    const bit = 1 << (page & 31);
    return (Atomics.or(this.#words, page >>> 5, bit) & bit) === 0;
  }

  /** True if the bit was set. */
  clear(page: number): boolean {
    const bit = 1 << (page & 31);
    return (Atomics.and(this.#words, page >>> 5, ~bit) & bit) !== 0;
  }

  /** Number of bits that were clear before. */
  setRange(first: number, count: number): number {
    let set = 0;
    for (let left = count, page = first; left > 0;) {
      const bits = bitsInWord(page, left);
      const mask = maskOf(page, bits);
      set += bitCount(~Atomics.or(this.#words, page >>> 5, mask) & mask);
      page += bits;
      left -= bits;
    }
    return set;
  }

  /** Number of bits that were set before. */
  clearRange(first: number, count: number): number {
    let cleared = 0;
    for (let left = count, page = first; left > 0;) {
      const bits = bitsInWord(page, left);
      const mask = maskOf(page, bits);
      cleared += bitCount(Atomics.and(this.#words, page >>> 5, ~mask) & mask);
      page += bits;
      left -= bits;
    }
    return cleared;
  }

  /** The first set bit at or after `from`; -1 if there is none. */
  next(from: number): number {
    let word = from >>> 5;
    if (word >= this.#words.length) return -1;
    let bits = Atomics.load(this.#words, word) & (-1 << (from & 31));
    while (bits === 0) {
      if (++word >= this.#words.length) return -1;
      bits = Atomics.load(this.#words, word);
    }
    return word * 32 + trailingZeros(bits);
  }

  copy(): PageBitmap {
    return new PageBitmap(this.pages, this.buffer.slice(0));
  }

  /** The runs of set bits, as [first page, pages] pairs in ascending order. Others may change bits meanwhile. */
  extents(): Uint32Array {
    // No array of numbers: a map of 1 TiB at its most scattered has more of them than such an array can hold.
    let extents = new Uint32Array(1024);
    let length = 0;
    for (let first = this.next(0); first >= 0;) {
      const end = this.#nextClear(first);
      if (length === extents.length) extents = grown(extents);
      extents[length++] = first;
      extents[length++] = end - first;
      first = this.next(end);
    }
    return extents.slice(0, length);
  }

  clearAll(): void {
    for (let word = 0; word < this.#words.length; word++) Atomics.store(this.#words, word, 0);
  }

  /** The first clear bit at or after `from`; `pages` if there is none. */
  #nextClear(from: number): number {
    let word = from >>> 5;
    let bits = ~Atomics.load(this.#words, word) & (-1 << (from & 31));
    while (bits === 0) {
      if (++word >= this.#words.length) return this.pages;
      bits = ~Atomics.load(this.#words, word);
    }
    return Math.min(this.pages, word * 32 + trailingZeros(bits));
  }

  /** Clears a run of set bits from `first` on, at most `most`; its length. 0: another thread was faster. */
  claimRun(first: number, most: number): number {
    const end = Math.min(this.pages, first + most);
    let page = first;
    while (page < end && this.clear(page)) page++;
    return page - first;
  }
}

function grown(words: Uint32Array): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(2 * words.length);
  more.set(words);
  return more;
}

/** How many of `count` pages from this one on have their bit in its word. */
function bitsInWord(page: number, count: number): number {
  return Math.min(32 - (page & 31), count);
}

function maskOf(page: number, bits: number): number {
  return bits === 32 ? -1 : ((1 << bits) - 1) << (page & 31);
}

function trailingZeros(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

function bitCount(bits: number): number {
  let v = bits - ((bits >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
