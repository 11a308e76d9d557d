import type { RamBytes } from '../../memory/guest-memory.js';
import { Virtqueue, type QueuePosition } from './queue.js';
import type { QueueRegisters } from './queue-registers.js';
import type { Driver } from './virtio-device.js';

export interface SessionSetup {
  ram: RamBytes;
  features: bigint;
  queues: readonly QueueRegisters[];
  /** Largest size of each. */
  queueSizes: readonly number[];
  /** Of a restore: how far each queue is. */
  positions?: readonly (QueuePosition | null)[];
  usedBuffer(): void;
  configChanged(): void;
}

/** The driver as the device model sees it, from DRIVER_OK to a reset. A model that holds on to it does no harm then. */
export class DriverSession implements Driver {
  readonly features: bigint;
  readonly queues: readonly (Virtqueue | undefined)[];
  readonly #configChanged: () => void;
  #ended = false;

  /** Throws QueueError if a queue that is ready cannot be used. */
  constructor(setup: SessionSetup) {
    this.features = setup.features;
    this.#configChanged = () => setup.configChanged();
    this.queues = setup.queues.map((registers, index) => {
      if (!registers.ready) return undefined;
      const position = setup.positions?.[index] ?? undefined;
      return new Virtqueue(setup.ram, {
        rings: registers.rings,
        maxSize: setup.queueSizes[index]!,
        features: setup.features,
        interrupt: () => setup.usedBuffer(),
        ...(position === undefined ? {} : { position }),
      });
    });
  }

  configChanged(): void {
    if (!this.#ended) this.#configChanged();
  }

  /** Shows the driver all that was returned. */
  signalAll(): void {
    for (const queue of this.queues) queue?.signal();
  }

  /** Throws if something is in flight, unless `rehearsed`. */
  positions(rehearsed: boolean): (QueuePosition | null)[] {
    return this.queues.map((queue) => (rehearsed ? queue?.position : queue?.save()) ?? null);
  }

  end(): void {
    this.#ended = true;
    for (const queue of this.queues) queue?.stop();
  }
}
