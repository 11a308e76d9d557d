/**
 * What a virtio device model is to the transport (mmio-transport.ts) and to the device worker, its only thread. A model
 * knows nothing of registers, status bits and interrupts. Virtio 1.2 throughout.
 */
import type { Deadline } from '../../basics/deadline.js';
import type { PollSource } from '../poll-source.js';
import type { Segment } from './segment.js';

/** A chain of descriptors that the driver made available: readable buffers first, then writable ones (2.7.4.2). */
export interface DescriptorChain {
  /** Index of its first descriptor: names it when it is returned. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** A queue that the driver broke: the device stops and asks for a reset (DEVICE_NEEDS_RESET). */
export class QueueError extends Error {}

/** A queue as a device uses it. Every method may throw QueueError; let it pass, the transport handles it. */
export interface DeviceQueue {
  /** The next chain the driver has made available; undefined if there is none. */
  pop(): DescriptorChain | undefined;
  /** Takes back the last `count` pops, none of which was returned: the next pop() gives the first of them again. */
  unpop(count: number): void;
  /** A chain that was popped is kept back: it is not in flight, and its queue can be saved. */
  setAside(head: number): void;
  /** Has a chain that was set aside, here or on another host, in flight again; undefined if the driver is gone. */
  takeUp(head: number): DescriptorChain | undefined;
  /** Returns a chain to the driver. `written`: bytes written to its writable buffers, from the first on. */
  push(head: number, written: number): void;
  /**
   * After one or more push(): shows them to the driver, all at once (as VIRTIO_NET_F_MRG_RXBUF asks), and interrupts it
   * unless it said it needs none.
   */
  signal(): void;
}

/** The driver's side, for as long as it drives the device: from DRIVER_OK (or a restore) to a reset. */
export interface Driver {
  /** Features that both sides have. */
  readonly features: bigint;
  /** By queue index; undefined for a queue that the driver did not enable. */
  readonly queues: readonly (DeviceQueue | undefined)[];
  /** The configuration space has changed: counts its generation up and interrupts the driver. */
  configChanged(): void;
}

export interface VirtioDevice {
  /** Device ID (section 5). */
  readonly deviceId: number;
  /** Device-specific feature bits it offers; the transport adds VIRTIO_F_VERSION_1 and those of the rings. */
  readonly features: bigint;
  /** Largest size of each queue; their number is the number of queues. Powers of two. */
  readonly queueSizes: readonly number[];
  /** The configuration space now, little endian. */
  config(): Uint8Array;
  /** The driver writes into the configuration space; without it such writes are lost. */
  writeConfig?(offset: number, bytes: Uint8Array): void;
  /** The driver is ready. Queues may hold chains already, but process() is called for them. */
  start(driver: Driver): void;
  /** A queue was notified, or everything may go on after a pause: looks at all queues. Not called before start(). */
  process(): void;
  /** Begins anew what the host has failed and the device keeps. Not called while it is paused. */
  retry?(): void;
  /**
   * Forgets the driver. Returns only when nothing of the device touches guest memory or queues any more (a request in
   * flight has ended).
   */
  reset(): void;
  /** Descriptors it waits for, the same array for life. Not polled while it is paused. */
  readonly sources: readonly PollSource[];
  /**
   * Before the state is saved, with all vCPUs parked: finishes what is in flight and returns it to its queue, takes
   * nothing new until process() is called again, writes back what only this host has. Throws if that fails, or has not
   * ended by the deadline: the guest then goes on here, and process() is called. Also without a driver, as save() and
   * restore().
   */
  pause(deadline: Deadline): void;
  /** Of a paused device, without the rings: a plain object of numbers, strings, booleans, arrays and byte arrays. */
  save(): unknown;
  /** Before start(), on the other host. Throws for state that is none (zod), with nothing changed. */
  restore(state: unknown): void;
}
