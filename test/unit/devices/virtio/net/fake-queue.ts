import type { Segment } from '../../../../../src/devices/virtio/segment.js';
import type { DescriptorChain, DeviceQueue } from '../../../../../src/devices/virtio/virtio-device.js';
import type { RamBytes } from '../../../../../src/memory/guest-memory.js';

/** A queue without rings: chains are added by the driver, and come back as used. Strict about what a device does. */
export class FakeQueue implements DeviceQueue {
  readonly used: { head: number; written: number }[] = [];
  signals = 0;
  #available: DescriptorChain[] = [];
  /** In the order of their pops. */
  #inFlight: DescriptorChain[] = [];
  #heads = 0;
  #unseen = 0;

  constructor(
    readonly ram: RamBytes,
    /** Where its buffers are. */
    private nextOffset: number,
  ) {}

  get inFlight(): number {
    return this.#inFlight.length;
  }

  get available(): number {
    return this.#available.length;
  }

  /** Readable buffers with these bytes, then writable ones of these sizes. */
  add(readable: readonly (Uint8Array | number[])[], writable: readonly number[] = []): DescriptorChain {
    const chain = {
      head: this.#heads++,
      readable: readable.map((bytes) => {
        const segment = this.#allocate(bytes.length);
        this.ram.write(segment.ramOffset, Uint8Array.from(bytes));
        return segment;
      }),
      writable: writable.map((length) => this.#allocate(length)),
    };
    this.#available.push(chain);
    return chain;
  }

  addMany(count: number, ...writable: number[]): void {
    for (let i = 0; i < count; i++) this.add([], writable);
  }

  /** What is in a chain's writable buffers. */
  contents({ writable }: DescriptorChain, bytes = Infinity): number[] {
    const all = writable.flatMap(({ ramOffset, length }) => {
      const into = new Uint8Array(length);
      this.ram.read(ramOffset, into);
      return [...into];
    });
    return all.slice(0, bytes);
  }

  pop(): DescriptorChain | undefined {
    const chain = this.#available.shift();
    if (chain !== undefined) this.#inFlight.push(chain);
    return chain;
  }

  unpop(count: number): void {
    if (count > this.#inFlight.length) throw new Error('more than are in flight');
    this.#available.unshift(...this.#inFlight.splice(this.#inFlight.length - count));
  }

  setAside(): void {
    throw new Error('a network device keeps nothing back');
  }

  takeUp(): undefined {
    throw new Error('nothing was set aside');
  }

  push(head: number, written: number): void {
    const at = this.#inFlight.findIndex((chain) => chain.head === head);
    if (at < 0) throw new Error(`chain ${head} is not in flight`);
    this.#inFlight.splice(at, 1);
    this.used.push({ head, written });
    this.#unseen++;
  }

  signal(): void {
    if (this.#unseen > 0) this.signals++;
    this.#unseen = 0;
  }

  #allocate(length: number): Segment {
    const segment = { ramOffset: this.nextOffset, length };
    this.nextOffset += length + 3;
    return segment;
  }
}
