import { z } from 'zod';
import type { RamBytes } from '../../memory/guest-memory.js';
import { wordSchema } from '../state-schema.js';
import { AvailableRing } from './available-ring.js';
import { ChainReader } from './chain-reader.js';
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } from './features.js';
import { fullFence } from './memory-fence.js';
import { checkRings, INDEX_MASK, VIRTQ_AVAIL_F_NO_INTERRUPT, type RingAddresses } from './split-ring.js';
import { UsedRing } from './used-ring.js';
import { QueueError, type DescriptorChain, type DeviceQueue } from './virtio-device.js';

export const queuePositionSchema = z.strictObject({ nextAvailable: wordSchema, nextUsed: wordSchema });

/** How far a queue is with nothing in flight: indices of the next entries of both rings. */
export type QueuePosition = z.infer<typeof queuePositionSchema>;

export interface QueueSetup {
  rings: RingAddresses;
  /** What the device allows. */
  maxSize: number;
  /** Negotiated. */
  features: bigint;
  /** Sends a used buffer notification. */
  interrupt(): void;
  /** Where the queue goes on; one without a position is fresh. */
  position?: QueuePosition;
}

/** A split virtqueue (virtio 1.2, 2.7), from the device's side. A head is in flight at most once at a time. */
export class Virtqueue implements DeviceQueue {
  readonly #available: AvailableRing;
  readonly #used: UsedRing;
  readonly #chains: ChainReader;
  readonly #size: number;
  readonly #eventIdx: boolean;
  readonly #interrupt: () => void;
  /** The entry that pop() takes next. */
  #nextAvailable: number;
  /** The available index as last read; entries before it are copied. */
  #availableEnd: number;
  /** The entry that push() writes next, and the first that the driver was not told of. */
  #nextUsed: number;
  #unpublished: number;
  /** 1 for the heads of chains in flight: popped, not pushed. */
  readonly #inFlight: Uint8Array;
  #inFlightCount = 0;
  /** The available index at which the driver was asked to notify. */
  #availEvent: number | undefined;
  #stopped = false;

  /** Throws QueueError for rings that cannot be. */
  constructor(ram: RamBytes, setup: QueueSetup) {
    const rings = checkRings(ram, setup.rings, setup.maxSize);
    this.#available = new AvailableRing(ram, rings);
    this.#used = new UsedRing(ram, rings);
    this.#chains = new ChainReader(ram, rings, (setup.features & VIRTIO_F_INDIRECT_DESC) !== 0n);
    this.#size = rings.size;
    this.#eventIdx = (setup.features & VIRTIO_F_EVENT_IDX) !== 0n;
    this.#interrupt = () => setup.interrupt();
    this.#nextAvailable = this.#availableEnd = setup.position?.nextAvailable ?? 0;
    this.#nextUsed = this.#unpublished = setup.position?.nextUsed ?? 0;
    this.#inFlight = new Uint8Array(rings.size);
  }

  pop(): DescriptorChain | undefined {
    if (this.#stopped) return undefined;
    if (this.#nextAvailable === this.#availableEnd && !this.#lookForMore()) return undefined;
    const chain = this.#take(this.#available.head(this.#nextAvailable));
    this.#nextAvailable = next(this.#nextAvailable);
    return chain;
  }

  unpop(count: number): void {
    if (this.#stopped) return;
    for (let left = count; left > 0; left--) {
      const index = (this.#nextAvailable - 1) & INDEX_MASK;
      this.#land(this.#available.head(index));
      this.#nextAvailable = index;
    }
  }

  setAside(head: number): void {
    if (!this.#stopped) this.#land(head);
  }

  takeUp(head: number): DescriptorChain | undefined {
    if (this.#stopped) return undefined;
    this.#chains.announce(); // the driver's descriptors of it may be where others were read before
    return this.#take(head);
  }

  push(head: number, written: number): void {
    if (this.#stopped) return;
    this.#land(head);
    this.#used.set(this.#nextUsed, head, written);
    this.#nextUsed = next(this.#nextUsed);
  }

  signal(): void {
    const [before, now] = [this.#unpublished, this.#nextUsed];
    if (this.#stopped || before === now) return;
    this.#used.publish(before, distance(before, now), now);
    this.#unpublished = now;
    // The driver, for its part, enables interrupts and then looks at the index once more.
    fullFence();
    if (this.#wantsInterrupt(before, now)) this.#interrupt();
  }

  /** The driver is gone: from now on the queue is empty, and what is returned to it is lost. */
  stop(): void {
    this.#stopped = true;
  }

  save(): QueuePosition {
    if (this.#inFlightCount > 0) throw new Error(`${this.#inFlightCount} chains are in flight`);
    return this.position;
  }

  /** The position leaves out what is in flight: another queue could not go on from that. */
  get position(): QueuePosition {
    return { nextAvailable: this.#nextAvailable, nextUsed: this.#nextUsed };
  }

  /** With event indices the queue asks for a kick first: what the driver adds before it sees that, it does not tell of. */
  #lookForMore(): boolean {
    if (this.#eventIdx && this.#availEvent !== this.#nextAvailable) {
      this.#availEvent = this.#nextAvailable;
      this.#used.writeAvailEvent(this.#nextAvailable);
      fullFence();
    }
    return this.#readAvailable();
  }

  #readAvailable(): boolean {
    const index = this.#available.readIndex();
    const fresh = distance(this.#availableEnd, index);
    if (fresh === 0) return false;
    const waiting = distance(this.#nextAvailable, this.#availableEnd);
    const taken = this.#inFlightCount + distance(this.#unpublished, this.#nextUsed);
    // A driver has no more than `size` chains with the device: each takes a descriptor.
    if (waiting + fresh + taken > this.#size) {
      throw new QueueError(`the available index jumps from ${this.#availableEnd} to ${index}`);
    }
    this.#available.copyEntries(this.#availableEnd, fresh);
    this.#chains.announce();
    this.#availableEnd = index;
    return true;
  }

  /** 2.7.7.2: with event indices, unless used_event is not among the new entries; without, unless flags say so. */
  #wantsInterrupt(before: number, now: number): boolean {
    if (!this.#eventIdx) return (this.#available.readFlags() & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
    return distance(before, this.#available.readUsedEvent()) < distance(before, now);
  }

  #take(head: number): DescriptorChain {
    if (head >= this.#size) throw new QueueError(`descriptor ${head} in a queue of ${this.#size}`);
    if (this.#inFlight[head] !== 0) throw new QueueError(`the chain at descriptor ${head} was made available twice`);
    const chain = this.#chains.read(head);
    this.#inFlight[head] = 1;
    this.#inFlightCount++;
    return chain;
  }

  /** A chain that is not in flight is the device model's mistake, not the driver's. */
  #land(head: number): void {
    if (this.#inFlight[head] !== 1) throw new RangeError(`no chain at descriptor ${head} is in flight`);
    this.#inFlight[head] = 0;
    this.#inFlightCount--;
  }
}

function next(index: number): number {
  return (index + 1) & INDEX_MASK;
}

function distance(from: number, to: number): number {
  return (to - from) & INDEX_MASK;
}
