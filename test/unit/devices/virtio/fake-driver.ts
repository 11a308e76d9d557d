import type { Segment } from '../../../../src/devices/virtio/segment.js';
import type { DescriptorChain, DeviceQueue, Driver } from '../../../../src/devices/virtio/virtio-device.js';

/** A queue without rings, for devices alone: chains go in by add(), and what the device returns is recorded. */
export class FakeQueue implements DeviceQueue {
  /** [head, written], in order, of what the driver has been shown: signal() does that. */
  readonly used: [number, number][] = [];
  signals = 0;
  #returned: [number, number][] = [];
  #chains: DescriptorChain[] = [];
  #popped: DescriptorChain[] = [];
  readonly #aside: DescriptorChain[] = [];
  #nextHead = 0;

  /** Makes a chain available; its head. */
  add(readable: Segment[], writable: Segment[] = []): number {
    const head = this.#nextHead++;
    this.#chains.push({ head, readable, writable });
    return head;
  }

  /** Chains that the device has not taken, or has given back. */
  get waiting(): number {
    return this.#chains.length;
  }

  /** Chains that the device has, by head. */
  get taken(): number[] {
    return this.#popped.map((chain) => chain.head);
  }

  pop(): DescriptorChain | undefined {
    const chain = this.#chains.shift();
    if (chain !== undefined) this.#popped.push(chain);
    return chain;
  }

  unpop(count: number): void {
    if (count > this.#popped.length) throw new Error('more than was popped');
    this.#chains.unshift(...this.#popped.splice(this.#popped.length - count));
  }

  setAside(head: number): void {
    const at = this.#popped.findIndex((chain) => chain.head === head);
    if (at < 0) throw new Error(`chain ${head} is not the device's`);
    this.#aside.push(...this.#popped.splice(at, 1));
  }

  takeUp(head: number): DescriptorChain | undefined {
    const at = this.#aside.findIndex((chain) => chain.head === head);
    if (at < 0) throw new Error(`chain ${head} was not set aside`);
    const [chain] = this.#aside.splice(at, 1);
    this.#popped.push(chain!);
    return chain;
  }

  push(head: number, written: number): void {
    const at = this.#popped.findIndex((chain) => chain.head === head);
    if (at < 0) throw new Error(`chain ${head} is not the device's`);
    this.#popped.splice(at, 1);
    this.#returned.push([head, written]);
  }

  signal(): void {
    this.used.push(...this.#returned.splice(0));
    this.signals++;
  }
}

export class FakeDriver implements Driver {
  configChanges = 0;

  constructor(
    readonly queues: readonly (FakeQueue | undefined)[],
    readonly features = 0n,
  ) {}

  configChanged(): void {
    this.configChanges++;
  }
}
