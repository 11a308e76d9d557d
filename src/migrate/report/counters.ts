/** What one page worker has done, in shared memory: it alone writes, others read. Doubles, so that none overflows. */
const NAMES = [
  'bytes', // sent, headers included
  'pages', // sent
  'zeroPages', // told to be zero instead of sent
  'copies', // sent before the hand-over, while the guest could still change them
  'zeroCopies', // as zeroPages, of these
  'lost', // pages of the source that a memory error has taken
  'released', // pages given back to this host, because the other end has them
  'installed', // pages
  'zeroFaults', // faults answered here, on pages that were never written
] as const;
export type CounterName = (typeof NAMES)[number];

export class Counters {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Float64Array;

  constructor(buffer = new SharedArrayBuffer(NAMES.length * 8)) {
    this.buffer = buffer;
    this.#cells = new Float64Array(buffer);
  }

  get(name: CounterName): number {
    return this.#cells[NAMES.indexOf(name)]!;
  }

  add(name: CounterName, amount: number): void {
    this.#cells[NAMES.indexOf(name)]! += amount;
  }

  set(name: CounterName, value: number): void {
    this.#cells[NAMES.indexOf(name)] = value;
  }
}
