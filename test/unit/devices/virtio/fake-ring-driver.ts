import {
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../../../src/devices/virtio/features.js';
import { Virtqueue, type QueuePosition } from '../../../../src/devices/virtio/queue.js';
import type { Driver, VirtioDevice } from '../../../../src/devices/virtio/virtio-device.js';
import { FakeRam } from '../../memory/fake-ram.js';
import { MockQueue } from './mock-queue.js';

export { MockQueue } from './mock-queue.js';
import { SOON } from './soon.js';

const MIB = 0x100000;
/** Rings and buffers of queue n begin at (n + 1) times this. */
const QUEUE_AREA = 4 * MIB;

export interface MockDriverOptions {
  /** Of the device; those of ring and transport come on top. Default: all it offers. */
  features?: bigint;
  eventIdx?: boolean;
  /** Queues that the driver uses; default: all. */
  enabled?: (index: number) => boolean;
  ram?: FakeRam;
}

/**
 * Plays the driver of a device model, without a transport between them:
 * `const driver = new MockDriver(device); driver.start(); driver.mock[0].add({...}); driver.kick();
 * driver.mock[0].collect()`.
 */
export class MockDriver implements Driver {
  readonly features: bigint;
  readonly ram: FakeRam;
  /** The driver's side of each queue. */
  readonly mock: MockQueue[];
  /** What the device sees. */
  readonly queues: readonly (Virtqueue | undefined)[];
  /** Used buffer notifications. */
  interrupts = 0;
  configChanges = 0;

  constructor(
    readonly device: VirtioDevice,
    readonly options: MockDriverOptions = {},
    moved?: { mock: MockQueue[]; positions: (QueuePosition | undefined)[] },
  ) {
    const eventIdx = options.eventIdx ?? false;
    this.features =
      (options.features ?? device.features) |
      VIRTIO_F_VERSION_1 |
      VIRTIO_F_INDIRECT_DESC |
      (eventIdx ? VIRTIO_F_EVENT_IDX : 0n);
    this.ram = options.ram ?? new FakeRam(128 * MIB);
    this.mock =
      moved?.mock ?? device.queueSizes.map((size, n) => new MockQueue(this.ram, (n + 1) * QUEUE_AREA, size, eventIdx));
    this.queues = this.mock.map((_, index) => this.#connect(index, moved?.positions[index]));
  }

  configChanged(): void {
    this.configChanges++;
  }

  /** DRIVER_OK. */
  start(): void {
    this.device.start(this);
  }

  /** Notifies the device if it wants that; whether it did. */
  kick(): boolean {
    const wanted = this.mock.map((queue) => queue.wantsKick()).some((wants) => wants);
    if (wanted) this.device.process();
    return wanted;
  }

  /** Pauses the device and goes on with `other`, a device of another host with the same RAM. process() is to come. */
  moveTo(other: VirtioDevice): MockDriver {
    this.device.pause(SOON);
    const positions = this.queues.map((queue) => queue?.save());
    const moved = new MockDriver(other, { ...this.options, ram: this.ram }, { mock: this.mock, positions });
    other.restore(structuredClone(this.device.save()));
    other.start(moved);
    return moved;
  }

  #connect(index: number, position?: QueuePosition): Virtqueue | undefined {
    if (this.options.enabled?.(index) === false) return undefined;
    return new Virtqueue(this.ram, {
      rings: this.mock[index]!.rings,
      maxSize: this.device.queueSizes[index]!,
      features: this.features,
      interrupt: () => void this.interrupts++,
      ...(position === undefined ? {} : { position }),
    });
  }
}
